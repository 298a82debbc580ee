"""``eng infer``: runs a trained model on files, folders or URLs."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from eng.logging.near_names import suggest
from eng.logging.optional import optional_module


@click.command()
@click.argument("model")
@click.argument("inputs", nargs=-1, required=True)
@click.option("--weights", help="Checkpoint. Default: the model's own, or the newest in the config's work_dir.")
@click.option("--inferencer", help="Registered name of the inferencer. Default: the config's `inferencer`.")
@click.option("--scope", help="Library that publishes MODEL or registers the inferencer, such as mmpretrain.")
@click.option("--device", help="Such as cuda:0. Default: the best one that is there.")
@click.option("--batch-size", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--out-dir", type=click.Path(file_okay=False, path_type=Path), help="Save the pictures drawn here.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of inputs and predictions.")
@click.option("--cfg-options", multiple=True, metavar="KEY=VALUE ...", help="Change the config first.")
@click.pass_context
def infer(
    ctx: click.Context, /, model: str, inputs: tuple[str, ...], as_json: bool, batch_size: int, **options: Any
) -> None:
    """Run MODEL, a config or the name of a published model, on INPUTS: files, folders or URLs."""
    from .inputs import as_list

    items = [item for given_input in inputs for item in as_list(given_input)]
    # Libraries may print to stdout. Their output is redirected to stderr, so that stdout contains only the predictions.
    with contextlib.redirect_stdout(sys.stderr):
        results = _build_inferencer(ctx, model, options)(items, batch_size=batch_size)
    predictions, pictures = results, None
    if isinstance(results, Mapping):
        predictions, pictures = results["predictions"], results.get("visualization")
    if options["out_dir"] is not None:
        _save(pictures, items, options["out_dir"])
    records = [
        {"input": item, "prediction": _plain(prediction)} for item, prediction in zip(items, predictions, strict=True)
    ]
    if as_json:
        click.echo(json.dumps(records, indent=2))
        return
    for record in records:
        click.echo(f"{record['input']}: {_as_words(record['prediction'])}")


def _build_inferencer(ctx: click.Context, model: str, options: dict[str, Any]) -> Any:
    """Builds the inferencer for the argument MODEL of ``eng infer``.

    Args:
        ctx: the context of the command.
        model: path of a config file, or name of a published model.
        options: values of the command's options by name.

    Raises:
        click.ClickException: neither config nor options name an inferencer, or it is not registered.
        click.UsageError: ``--cfg-options`` is given for a published model.
    """
    from eng.registry import INFERENCERS, DefaultScope

    from .sources import CONFIG_SUFFIXES

    weights, scope, spec = options["weights"], options["scope"], options["inferencer"]
    chosen: Any = model
    if Path(model).suffix in CONFIG_SUFFIXES or Path(model).is_file():
        chosen = ctx.obj.load_config(model, options["cfg_options"])
        scope = scope or chosen.get("default_scope")
        spec = spec or chosen.get("inferencer")
        weights = weights or _weights_of(chosen, model)
    elif options["cfg_options"]:
        raise click.UsageError(f"--cfg-options changes a config, and {model!r} names a published model")
    if not spec:
        if chosen is model:
            _check_published(model, scope)
        raise click.ClickException(
            f"{model} does not say which inferencer runs it: set inferencer=dict(type='...') in the config, or give "
            "--inferencer NAME (a subclass of eng.infer.BaseInferencer, registered in INFERENCERS)"
        )
    settings: dict[str, Any] = {"type": spec}
    if isinstance(spec, Mapping):
        settings = dict(spec)
    inferencer_type = settings.pop("type")
    if options["device"] is not None:
        settings["device"] = options["device"]
    # Model and weights are passed by position, since inferencers of libraries have different names for these arguments.
    arguments = [chosen]
    if weights is not None:
        arguments.append(weights)
    # The constructor of an inferencer takes the current default scope as the scope of the inferencer.
    with DefaultScope.overwrite_default_scope(scope):
        inferencer_class = inferencer_type
        if isinstance(inferencer_type, str):
            inferencer_class = INFERENCERS.get(inferencer_type)
        if inferencer_class is None:
            names = ", ".join(sorted(INFERENCERS.module_dict)) or "none"
            raise click.ClickException(f"no inferencer is registered as {inferencer_type!r}; there are: {names}")
        return inferencer_class(*arguments, **settings)


def _check_published(name: str, scope: str | None) -> None:
    """Checks that `name`, which is no path of a file, is the name of a model that the library `scope` publishes.

    Raises:
        click.ClickException: `scope` is None, so the library is unknown.
        KeyError: the library publishes no such model; the message suggests similar names.
    """
    from eng.hub import find_model

    if scope is None:
        hint = suggest(name, [str(path) for path in Path().glob("*.py")], otherwise="")
        raise click.ClickException(
            f"there is no file {name}{hint}\nIf it is the name of a published model, say by which library: "
            "--scope mmpretrain, and --inferencer NAME"
        )
    find_model(scope, name)


def _weights_of(cfg: Any, path: str) -> str:
    """Returns the checkpoint of a config: its ``load_from``, or else the newest checkpoint in its ``work_dir``."""
    from eng.checkpoint import find_latest_checkpoint

    work_dir = cfg.get("work_dir") or str(Path("work_dirs") / Path(path).stem)
    checkpoint = cfg.get("load_from") or find_latest_checkpoint(work_dir)
    if checkpoint is None:
        raise click.ClickException(f"no weights: there is no checkpoint in {work_dir}, so name one by --weights")
    click.echo(f"weights: {checkpoint}", err=True)
    return str(checkpoint)


def _save(pictures: Sequence[Any] | None, items: Sequence[str], folder: Path) -> None:
    """Saves images as PNG files; the file name contains the number and the name of the input that the image shows."""
    if not pictures:
        raise click.ClickException("--out-dir: this inferencer draws no pictures")
    pillow = optional_module("PIL.Image", "--out-dir", "pillow")
    folder.mkdir(parents=True, exist_ok=True)
    width = len(str(len(items)))
    for number, (picture, item) in enumerate(zip(pictures, items, strict=True)):
        # Inputs in different folders may have the same file name; the number makes the name of each saved image unique.
        stem = re.sub(r"[^\w.-]", "_", Path(item).stem) or "input"
        pillow.fromarray(picture).save(folder / f"{number:0{width}d}-{stem}.png")


def _plain(value: Any) -> Any:
    """Converts a prediction to nested dicts, lists, strings and numbers, which JSON can represent."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if hasattr(value, "tolist"):  # The value is a tensor or an array.
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | int | float | bool | type(None)):
        return value
    return str(value)


def _as_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_as_words(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
