"""``eng lr``: computes the learning rate and momentum at each iteration of a run, without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from eng.logging.words import counted

_MOST_NAMES = 3


@click.command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw the curves into this picture (needs matplotlib).")
@click.option("--epoch-length", type=click.IntRange(min=1), help="Iterations of an epoch. Default: asks the dataset.")
@click.option("--world-size", type=click.IntRange(min=1), default=1, show_default=True, help="Ranks of the run.")
@click.option("--json", "as_json", is_flag=True, help="Print all points as JSON.")
@click.option("--cfg-options", multiple=True, metavar="KEY=VALUE ...", help="Change the config first.")
@click.pass_context
def lr(
    ctx: click.Context,
    config: str,
    plot: str | None,
    epoch_length: int | None,
    world_size: int,
    as_json: bool,
    cfg_options: tuple[str, ...],
) -> None:
    """Show the learning rate and momentum that CONFIG gives over the whole run, without training.

    The model is built only if paramwise_cfg or a constructor gives parameters different rates, the dataset only if the
    length of an epoch is needed. Schedulers that follow a metric are left out.
    """
    from eng.optim._schedule_of_config import previews_of

    cfg = ctx.obj.load_config(config, cfg_options)
    previews = previews_of(cfg, lambda: ctx.obj.build_model(cfg), epoch_length=epoch_length, world_size=world_size)
    if as_json:
        click.echo(json.dumps({name: vars(shown) for name, shown in previews.items()}))
    else:
        for line in summary(previews):
            click.echo(line)
    if plot:
        draw(previews, plot)
        click.echo(f"wrote {plot}", err=True)


def summary(previews: dict[str, Any]) -> list[str]:
    """Returns lines of text, one per learning-rate or momentum curve, with the curve's first to last values.

    Each line has the first, highest, lowest and last value of a curve, and the parameter groups that follow the curve.
    ``previews`` are the schedules by the name of their optimizer.
    """
    lines = []
    for name, shown in previews.items():
        for label, values in (("lr", shown.lr), ("momentum", shown.momentum)):
            for curve, groups in shown.curves(values):
                title = label
                if name:
                    title = f"{name}.{label}"
                where = counted(groups, "parameter group")
                labels = shown.labels_of(values, curve)
                if labels:
                    where = f"{where}: {_list_names(labels)}"
                lines.append(
                    f"{title}: first {curve[0]:.4g}, highest {max(curve):.4g} at iteration "
                    f"{shown.iterations[curve.index(max(curve))]}, lowest {min(curve):.4g} at iteration "
                    f"{shown.iterations[curve.index(min(curve))]}, last {curve[-1]:.4g} ({where})"
                )
    return lines


def _list_names(labels: list[str]) -> str:
    """Returns the first three names in ``labels`` as one text, followed by the number of further names.

    Each label is a text with one or several names, such as ``"head.weight, head.bias"``.
    """
    names = [name for label in labels for name in label.split(", ")]
    text = ", ".join(names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        text += f" and {len(names) - _MOST_NAMES} more"
    return text


def draw(previews: dict[str, Any], path: str) -> None:
    """Draws the learning rates (upper axes) and momenta (lower axes) over the iterations into an image file.

    Args:
        previews: schedules by the name of their optimizer.
        path: path of the image file, whose extension selects the image format.

    Raises:
        click.ClickException: matplotlib is not installed, or supports no image format with this extension.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise click.ClickException("--plot needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(9, 6), layout="constrained")
    known = FigureCanvasAgg(figure).get_supported_filetypes()
    if Path(path).suffix.lower().removeprefix(".") not in known:
        raise click.ClickException(f"--plot {path}: a picture ends in one of {', '.join(f'.{name}' for name in known)}")
    rate_axes, momentum_axes = figure.subplots(2, sharex=True, height_ratios=(2, 1))
    for name, shown in previews.items():
        for axes, values in ((rate_axes, shown.lr), (momentum_axes, shown.momentum)):
            for curve, groups in shown.curves(values):
                label = f"{name} {counted(groups, 'group')}".lstrip()
                axes.plot(shown.iterations, curve, label=label)
    rate_axes.set_ylabel("learning rate")
    momentum_axes.set_ylabel("momentum")
    momentum_axes.set_xlabel("iteration")
    rate_axes.legend()
    figure.savefig(path)
