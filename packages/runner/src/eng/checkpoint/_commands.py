"""``eng ckpt``: inspect, verify, compare, publish and export checkpoint files without building the model."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from eng.logging.tables import table_lines
from eng.logging.words import counted

from ._text import visible

_FILE = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _SizeType(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.4
    """Type of a command-line option that is a number of bytes, such as ``500MB``.

    K, M and G are powers of 1000, as in Hugging Face's ``max_shard_size``.
    """

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Converts a text such as ``500MB`` to a number of bytes."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B?", str(value).strip(), re.IGNORECASE)
        size = 0.0
        if match:
            size = float(match[1]) * 1000 ** " KMG".index(match[2].upper() or " ")
        if size < 1:
            self.fail(f"expected a size such as 500MB or 5GB, got {value!r}", param, ctx)
        return int(size)


@click.group()
def ckpt() -> None:
    """Look at checkpoints: ls, show, verify, diff, publish, export. Only export --merge-adapters builds a model."""


@ckpt.command()
@click.argument("work_dir", type=_FOLDER)
@_AS_JSON
def ls(work_dir: Path, as_json: bool) -> int:
    """List the checkpoints in WORK_DIR and say which are intact.

    Sharded checkpoints are listed too. The exit status is 1 if a checkpoint is not intact.
    """
    from ._summary import list_checkpoints

    checkpoints = list_checkpoints(work_dir)
    if as_json:
        _print_json([checkpoint.to_dict() for checkpoint in checkpoints])
    elif not checkpoints:
        click.echo(f"no checkpoints (*.pth, *.pt) in {work_dir}", err=True)
    else:
        header = ("file", "epoch", "iter", "saved", "size", "")
        click.echo("\n".join(table_lines([header, *(_line(checkpoint) for checkpoint in checkpoints)])))
    return int(any(checkpoint.problem for checkpoint in checkpoints))


@ckpt.command()
@click.argument("file", type=_FILE)
@click.option("--weights", "with_weights", is_flag=True, help="List every tensor too.")
@_AS_JSON
def show(file: Path, with_weights: bool, as_json: bool) -> None:
    """Show what is in a checkpoint.

    FILE is a checkpoint file, the folder of a sharded checkpoint, or a safetensors file or folder.
    """
    from ._summary import summarize_checkpoint

    summary = summarize_checkpoint(file)
    if as_json:
        _print_json(summary.to_dict())
        return
    click.echo(f"{file}  {_size(summary.size_bytes)}")
    for name, count in summary.entries.items():
        line = f"  {visible(name)}"
        if count is not None:
            line += f": {counted(count, 'entry', 'entries')}"
        click.echo(line)
    click.echo(
        f"weights: {counted(len(summary.tensors), 'tensor')}, {counted(summary.num_values, 'value', separator=',')}"
    )
    if summary.has_average:
        click.echo("state_dict holds averaged weights; `eng ckpt export --trained` gives the trained ones")
    for name, value in summary.meta.items():
        click.echo(f"meta.{visible(name)}: {_short(value)}")
    if with_weights:
        rows = [(tensor.name, tensor.shape, tensor.dtype) for tensor in summary.tensors]
        click.echo("\n".join(table_lines(rows, has_header=False)))


@ckpt.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@_AS_JSON
def verify(files: tuple[Path, ...], as_json: bool) -> int:
    """Check the checkpoints FILES against their checksums.

    The exit status is 1 if a checkpoint is not intact.
    """
    from ._open import verify_any
    from .errors import BrokenCheckpointError, UntrustedCheckpointError

    problems: dict[str, str | None] = {}
    for file in files:
        if not file.exists():
            raise click.ClickException(f"there is no checkpoint file {file}")
        try:
            verify_any(file)
            problems[str(file)] = None
        except (BrokenCheckpointError, UntrustedCheckpointError) as error:
            problems[str(file)] = str(error)
    if as_json:
        _print_json(
            [{"path": path, "whole": problem is None, "problem": problem} for path, problem in problems.items()]
        )
    else:
        for path, problem in problems.items():
            click.echo(problem or f"{visible(path)}: whole")
    return int(any(problems.values()))


@ckpt.command()
@click.argument("first", type=_FILE)
@click.argument("second", type=_FILE)
@click.option(
    "--tolerance", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Differences up to this are none."
)
@_AS_JSON
def diff(first: Path, second: Path, tolerance: float, as_json: bool) -> int:
    """Show where the weights of FIRST and SECOND differ.

    The exit status is 1 if they differ.
    """
    from ._differences import compare_checkpoints

    differences = compare_checkpoints(first, second, tolerance)
    if as_json:
        _print_json([difference.to_dict() for difference in differences])
    else:
        for difference in differences:
            click.echo(visible(difference))
        if differences:
            click.echo(f"{len(differences)} differences", err=True)
        else:
            click.echo("the weights are the same")
    return int(bool(differences))


@ckpt.command()
@click.argument("file", type=_FILE)
@click.option("--out-dir", type=_FILE, help="Folder of the copy. Default: that of FILE.")
@click.option("--keys", default="meta,state_dict", show_default=True, help="Entries of the copy.")
def publish(file: Path, out_dir: Path | None, keys: str) -> None:
    """Copy FILE without its training state.

    The name of the copy ends in a hash of its content: NAME-HASH.pth.
    """
    from ._publish import publish_checkpoint

    click.echo(publish_checkpoint(file, [key.strip() for key in keys.split(",")], out_dir))


@ckpt.command()
@click.argument("file", type=_FILE)
@click.argument("target", type=_FILE, required=False)
@click.option("--safetensors", is_flag=True, help="Write the safetensors format; also taken from TARGET's name.")
@click.option("--ema", "which", flag_value="averaged", help="The averaged weights; an error where there are none.")
@click.option("--trained", "which", flag_value="trained", help="The weights before averaging.")
@click.option(
    "--max-file-size",
    type=_SizeType(),
    metavar="SIZE",
    help="Make TARGET a folder of safetensors files of at most SIZE (500MB, 5GB) with model.safetensors.index.json.",
)
@click.option(
    "--merge-adapters",
    "config",
    metavar="CONFIG",
    help="Merge the adapters of PEFT in FILE into their base model, which is built from CONFIG, the config of the run.",
)
@click.pass_context
def export(
    ctx: click.Context,
    file: Path,
    target: Path | None,
    safetensors: bool,
    which: Any,
    max_file_size: int | None,
    config: str | None,
) -> None:
    """Write only the weights in FILE into TARGET.

    The default of TARGET is FILE-weights.pth; FILE.safetensors with --safetensors; the folder FILE-weights with
    --max-file-size.
    """
    from ._export import export_weights

    if config is not None and which is not None:
        raise click.UsageError("--merge-adapters takes the weights as they are stored: leave --ema and --trained out")
    weights = None
    if config is not None:
        # Adapters are merged into a built model, which eng.runner builds. eng.checkpoint must not import eng.runner,
        # which imports eng.checkpoint, so the module is imported only for this option.
        merging = import_module("eng.runner.merging")
        weights = merging.merged_weights(ctx.obj.load_config(config, ()), file)

    if target is None and max_file_size is not None:
        target = file.with_name(f"{file.stem}-weights")
    elif target is None and safetensors:
        target = file.with_suffix(".safetensors")
    elif target is None:
        target = file.with_name(f"{file.stem}-weights.pth")
    click.echo(export_weights(file, target, which or "stored", safetensors or None, max_file_size, weights))


def _line(checkpoint: Any) -> tuple[object, ...]:
    """Returns the cells of a checkpoint's row in the table of ``eng ckpt ls``; an unknown value is an empty cell."""
    note = checkpoint.problem or ""
    if not note and checkpoint.is_last:
        note = "last"
    cells: list[object] = []
    for value in (checkpoint.epoch, checkpoint.iter, checkpoint.time):
        if value is None:
            value = ""
        cells.append(value)
    return (Path(checkpoint.path).name, *cells, _size(checkpoint.size_bytes), note)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def _size(size_bytes: int) -> str:
    if size_bytes < 2**20:
        return f"{size_bytes / 2**10:.1f} kB"
    return f"{size_bytes / 2**20:.1f} MB"


def _short(value: Any) -> str:
    text = visible(value).replace("\n", "\\n")
    if len(text) > 100:
        return f"{text[:100]}..."
    return text
