"""The command ``eng flops``, which prints the complexity of a config's model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eng.analysis.complexity_analysis import ActivationAnalyzer, FlopAnalyzer


# With `allow_extra_args` click collects surplus words of the command line in `ctx.args`. Otherwise click would reject a
# wrong word after --shape as an unexpected argument; `check_words` rejects it with a better message.
@click.command(context_settings={"allow_extra_args": True})
@click.argument("config", type=click.Path(dir_okay=False))
@click.option(
    "--shape", multiple=True, metavar="C H W", help="Shape of one input without the batch. Default: 3 224 224."
)
@click.option("--backward", is_flag=True, help="Count forward and backward.")
@click.option(
    "--convention", type=click.Choice(["macs", "flops"]), default="macs", help="A multiply-add is one or two flops."
)
@click.option("--depth", type=int, default=3, show_default=True, help="Levels of modules to show.")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Write a bar chart of the top-level modules.")
@click.option(
    "--cfg-options", multiple=True, metavar="KEY=VALUE ...", help="Change the config before building the model."
)
@click.pass_context
def flops(
    ctx: click.Context,
    config: str,
    shape: tuple[str, ...],
    backward: bool,
    convention: Any,
    depth: int,
    as_json: bool,
    plot: str | None,
    cfg_options: tuple[str, ...],
) -> None:
    """Count flops, activations and parameters of CONFIG's model."""
    from eng.analysis import ActivationAnalyzer, FlopAnalyzer, complexity_stats_table
    from eng.analysis.print_helper import tensors_of

    check_words(config, shape, ctx.args)
    model = network_of(ctx.obj.build_model(ctx.obj.load_config(config, cfg_options)))
    inputs = tensors_of(parse_shape(shape))
    analyzer = FlopAnalyzer(model, inputs, backward=backward, convention=convention)
    with naming_the_shape(shape):  # The block runs the model, which may fail if the input shape is wrong.
        activations = ActivationAnalyzer.of(analyzer)
    if as_json:
        click.echo(json.dumps(_results_as_dict(analyzer, activations), indent=2))
    else:
        click.echo(complexity_stats_table(analyzer, max_depth=depth, activations=activations))
        click.echo(_uncounted(analyzer))
    if plot:
        draw(analyzer, plot)
        click.echo(f"wrote {plot}", err=True)


def network_of(model: Any) -> Any:
    """Returns the user's module inside the wrapper by which eng-runner trains a plain module with a loss.

    The wrapper is recognized by its attributes `shown_name` (name of the user's class) and `network` (the module).
    Other models are returned unchanged.
    """
    if isinstance(getattr(model, "shown_name", None), str):
        return getattr(model, "network", model)
    return model


def check_words(config: str, shape: tuple[str, ...], extra: list[str]) -> None:
    """Refuses a command line that has surplus words, such as ``--shape 3 224 x``.

    The list of numbers after ``--shape`` ends at the first word that is not a number. click takes this word for CONFIG
    or for a surplus word; if it is no file and does not look like a config, the message names it as a wrong number.

    Args:
        config: the word that click takes for CONFIG.
        shape: the numbers after ``--shape``.
        extra: all further words.

    Raises:
        click.UsageError: there are surplus words.
    """
    stray = [argument for argument in (config, *extra) if not Path(argument).is_file()]
    if shape and (extra or (stray and not Path(config).suffix and "::" not in config)):
        strays = " ".join(stray or extra)
        raise click.UsageError(f"--shape takes whole numbers such as 3 224 224, got {' '.join(shape)} {strays}")
    if extra:
        raise click.UsageError(f"one CONFIG is expected, got {1 + len(extra)}: {config} {' '.join(extra)}")


@contextmanager
def naming_the_shape(shape: tuple[str, ...]) -> Iterator[None]:
    """Converts an exception of the model's forward to an error message that names the input shape.

    A wrong ``--shape`` is the usual reason for such an exception.

    Raises:
        click.ClickException: the forward failed; its exception is the cause.
    """
    from eng.analysis.errors import AnalysisError

    try:
        yield
    except AnalysisError:  # Its message already says what to do, so it is passed on unchanged.
        raise
    except Exception as error:  # The forward of a user's model may raise any exception.
        tried = " ".join(map(str, parse_shape(shape)))
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        raise NoForwardError(
            f"the model does not run on one input of --shape {tried}{'' if shape else ' (the default)'}: "
            f"{type(error).__name__}: {error}{notes}\n"
            "give the shape of one input that the model takes, without the batch, such as --shape 1 28 28 "
            "(eng --traceback ... shows where)"
        ) from error


class NoForwardError(click.ClickException):
    """The model cannot be run on an input of the given shape."""

    exit_code = 2


def parse_shape(arguments: tuple[str, ...]) -> tuple[int, ...]:
    """Converts ``("3", "224", "224")`` or ``("3,224,224",)`` to integers; an empty tuple gives (3, 224, 224).

    Raises:
        click.BadParameter: a word is not an integer.
    """
    parts = [part for argument in arguments for part in argument.split(",") if part] or ["3", "224", "224"]
    if not all(part.isdecimal() for part in parts):
        raise click.BadParameter(f"--shape takes whole numbers such as 3 224 224, got {' '.join(arguments)}")
    return tuple(int(part) for part in parts)


def _results_as_dict(flops: FlopAnalyzer, activations: ActivationAnalyzer) -> dict[str, Any]:
    """Returns the counts of the complete model, of each module and of each operator as a dict, for ``--json``."""
    from eng.analysis import parameter_count

    return {
        "flops": flops.total(),
        "activations": activations.total(),
        "params": parameter_count(flops.model)[""],
        "by_module": dict(flops.by_module()),
        "by_operator": dict(flops.by_operator()),
        "uncounted": {name: vars(entry) for name, entry in flops.uncounted().items()},
    }


def _uncounted(flops: FlopAnalyzer) -> str:
    """Returns a line that lists the operators without a cost formula, their calls and their share of all outputs."""
    entries = sorted(flops.uncounted().items(), key=lambda item: -item[1].elements)
    if not entries:
        return "Every operator was counted."
    total = max(flops.tally.elements, 1)
    shares = ", ".join(f"{name} ({entry.calls}x, {entry.elements / total:.1%})" for name, entry in entries)
    return f"Not counted (calls, share of all output elements): {shares}"


def draw(flops: FlopAnalyzer, path: str) -> None:
    """Writes a bar chart of the flops of the model's direct submodules to an image file.

    If no submodule has flops, the chart has a single bar for the model.

    Raises:
        click.ClickException: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise click.ClickException("a picture needs matplotlib: pip install matplotlib") from error
    counts = flops.by_module()
    bars = {name: count for name, count in counts.items() if name and "." not in name and count}
    bars = bars or {type(flops.model).__name__: counts[""]}
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(bars)), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(bars), [count / 1e9 for count in bars.values()])
    axes.invert_yaxis()
    axes.set_xlabel("multiply-adds (10⁹)" if flops.convention == "macs" else "floating-point operations (10⁹)")
    figure.savefig(path)
