"""The commands ``eng tune lr``, ``eng tune batch`` and ``eng tune workers``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])


def _shared_arguments(function: F) -> F:
    """Decorator that adds the arguments and options which all three commands share, such as CONFIG and ``--out``."""
    options = (
        click.argument("config", type=click.Path(dir_okay=False)),
        click.option("--cfg-options", multiple=True, metavar="KEY=VALUE ...", help="Change the config first."),
        click.option(
            "--out", type=click.Path(dir_okay=False), help="Write the config with the settings into this file."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        click.pass_context,
    )
    for option in reversed(options):
        function = cast("F", option(function))
    return function


@click.group()
def tune() -> None:
    """Find the learning rate, the batch size or the number of loader workers of a config by measurement."""


@tune.command()
@_shared_arguments
@click.option("--low", type=float, default=1e-6, show_default=True, help="Lowest learning rate.")
@click.option("--high", type=float, default=10.0, show_default=True, help="Highest learning rate.")
@click.option("--iters", type=int, default=100, show_default=True, help="Steps of the range test.")
@click.option("--trial-iters", type=int, default=150, show_default=True, help="Steps of each short training.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw the losses into this picture (needs matplotlib).")
def lr(
    ctx: click.Context,
    config: str,
    low: float,
    high: float,
    iters: int,
    trial_iters: int,
    plot: str | None,
    **common: Any,
) -> None:
    """Find the learning rate of CONFIG.

    A range test proposes it, short trainings confirm it. Nothing is left behind.
    """
    from ._lr import find_lr

    cfg = ctx.obj.load_config(config, common["cfg_options"])
    result = find_lr(cfg, low=low, high=high, num_iters=iters, trial_iters=trial_iters)
    if plot is not None:
        result.draw(plot)
        click.echo(f"wrote {plot}", err=True)
    options = {_rate_key(name): rate for name, rate in result.suggestions.items()}
    lines = [f"learning rate {rate:.3g}: loss {loss:.4g}" for rate, loss in result.trials]
    _print_result(cfg, common, result.as_dict(), lines, options)


@tune.command()
@_shared_arguments
@click.option("--memory", help="Limit, such as 2GB. Default: the free memory of the accelerator; the CPU needs it.")
@click.option("--largest", type=click.IntRange(1), help="Most samples to try. Default: the length of the dataset.")
def batch(ctx: click.Context, config: str, memory: str | None, largest: int | None, **common: Any) -> None:
    """Find the largest micro-batch of CONFIG that fits in memory.

    Accumulation keeps the effective batch.
    """
    from ._batch import find_batch_size

    cfg = ctx.obj.load_config(config, common["cfg_options"])
    result = find_batch_size(cfg, memory=memory, largest=largest)
    lines = [
        f"batch {size}: {'out of memory' if peak is None else f'{peak / 1e6:,.0f} MB'}" for size, peak in result.tries
    ]
    lines.append(f"largest micro-batch: {result.largest}; effective batch: {result.effective}, as before")
    if result.note:
        lines.append(result.note)
    _print_result(cfg, common, result.as_dict(), lines, result.options)


@tune.command()
@_shared_arguments
@click.option("--seconds", type=float, default=3.0, show_default=True, help="How long each number is measured.")
def workers(ctx: click.Context, config: str, seconds: float, **common: Any) -> None:
    """Find the number of loader workers of CONFIG.

    The throughput is measured.
    """
    from ._workers import find_workers

    cfg = ctx.obj.load_config(config, common["cfg_options"])
    result = find_workers(cfg, seconds=seconds)
    lines = [f"{number} workers: {speed:.1f} batches/s" for number, speed in result.throughputs]
    _print_result(cfg, common, result.as_dict(), lines, result.options)


def _rate_key(name: str) -> str:
    return f"optim_wrapper.{name}.optimizer.lr" if name else "optim_wrapper.optimizer.lr"


def _print_result(
    cfg: Any, common: dict[str, Any], data: dict[str, Any], lines: list[str], options: dict[str, Any]
) -> None:
    """Prints the result of a search; with ``--out`` also writes a copy of the config that has the recommended settings.

    Args:
        cfg: the config that was searched.
        common: the command-line options that all three commands share.
        data: the result for ``--json``.
        lines: the result as lines of text.
        options: the recommended settings by dotted key of the config.
    """
    if common["as_json"]:
        click.echo(json.dumps({**data, "options": options}))
    else:
        for line in lines:
            click.echo(line)
        settings = " ".join(
            f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in options.items()
        )
        click.echo(f"--cfg-options {settings}")
    if common["out"] is not None:
        cfg.merge_from_dict(options)
        cfg.dump(str(Path(common["out"])))
        click.echo(f"wrote {common['out']}", err=True)
