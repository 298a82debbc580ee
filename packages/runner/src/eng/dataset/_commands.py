"""``eng browse``: draws the samples of a dataset, after the pipeline's random transforms, into an image file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from eng.logging.words import counted

SPLITS = ("train", "val", "test")


@click.command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The picture. Default: CONFIG-SPLIT.png.")
@click.option(
    "--split", default="train", show_default=True, help="train, val or test; val/NAME for one of several sets."
)
@click.option("--samples", type=click.IntRange(min=1), default=8, show_default=True, help="Samples, one a row.")
@click.option("--epochs", type=click.IntRange(min=1), default=8, show_default=True, help="Epochs, one a column.")
@click.option("--index", "indices", type=click.IntRange(min=0), multiple=True, help="These samples. Repeatable.")
@click.option("--cell", type=click.IntRange(16, 2048), default=128, show_default=True, help="Pixels of a cell's side.")
@click.option("--cfg-options", multiple=True, metavar="KEY=VALUE ...", help="Change the config first.")
@click.pass_context
def browse(
    ctx: click.Context,
    config: str,
    out: Path | None,
    split: str,
    samples: int,
    epochs: int,
    indices: tuple[int, ...],
    cell: int,
    cfg_options: tuple[str, ...],
) -> None:
    """Draw a contact sheet of CONFIG's samples as they come out of the pipeline.

    Each row shows a sample, each column an epoch. The random transforms draw other random numbers in each epoch, as in
    a training run with the config's seed. No model is built.
    """
    from ._contact_sheet import draw_sheet, pictures_of

    out = out or Path(f"{Path(config).stem}-{split.replace('/', '-')}.png")
    _check_format(out)
    cfg = ctx.obj.load_config(config, cfg_options)
    dataset = _dataset_of(cfg, split)
    chosen = _chosen(len(dataset), indices, samples)
    seed = (cfg.get("randomness") or {}).get("seed") or 0
    rows = pictures_of(dataset, chosen, range(epochs), seed, _is_bgr(cfg))
    out.parent.mkdir(parents=True, exist_ok=True)
    # Pillow derives the image format from the ending of the file name; an image without an ending is saved as PNG.
    image_format = None
    if not out.suffix:
        image_format = "PNG"
    draw_sheet(rows, cell).save(out, format=image_format)
    click.echo(f"wrote {out}: {len(chosen)} of {counted(len(dataset), 'sample')} in {counted(epochs, 'epoch')}")


def _check_format(out: Path) -> None:
    """Checks that Pillow can write an image to the file `out`, so that the command fails before it reads samples.

    Raises:
        click.ClickException: Pillow is not installed.
        click.UsageError: Pillow writes no format with this ending.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise click.ClickException("browse needs Pillow: pip install pillow") from error
    endings = Image.registered_extensions()
    if out.suffix and endings.get(out.suffix.lower()) not in Image.SAVE:
        raise click.UsageError(
            f"--out {out}: Pillow writes no {out.suffix} files; .png and .jpg are among those it does"
        )


def _dataset_of(cfg: Any, split: str) -> Any:
    """Builds the dataset of `split`, such as ``train`` or ``val/small``, from a config."""
    from eng.registry import DATASETS, DefaultScope

    mode, _, set_name = split.partition("/")
    loader = cfg.get(f"{mode}_dataloader")
    if not isinstance(loader, Mapping):  # The config has no dataloader, or a list of batches instead of one.
        loader = {}
    sets = []
    if "dataset" not in loader:
        sets = [f"{mode}/{name}" for name, part in loader.items() if isinstance(part, Mapping) and "dataset" in part]
    if split in sets:
        loader = loader[set_name]
    elif sets:
        raise click.UsageError(f"{mode}_dataloader has several sets: --split {' or --split '.join(sets)}")
    if "dataset" not in loader or (set_name and not sets):
        modes = [name for name in SPLITS if cfg.get(f"{name}_dataloader") and (name != mode or "dataset" in loader)]
        raise click.ClickException(
            f"the config has no {split}_dataloader with a dataset; it has data to {', '.join(modes) or 'do nothing'}"
        )
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        dataset = loader["dataset"]
        if isinstance(dataset, Mapping):
            dataset = DATASETS.build(dataset)
        if hasattr(dataset, "full_init"):
            dataset.full_init()
    return dataset


def _chosen(length: int, indices: tuple[int, ...], samples: int) -> list[int]:
    """Returns the numbers of the dataset's samples that the command draws.

    Args:
        length: number of samples in the dataset.
        indices: numbers that the user has asked for; if empty, numbers at equal distances are returned.
        samples: how many numbers are returned without `indices`.

    Raises:
        click.ClickException: the dataset is empty.
        click.UsageError: the dataset has no sample with one of the numbers in `indices`.
    """
    if length == 0:
        raise click.ClickException("the dataset is empty")
    if beyond := [index for index in indices if index >= length]:
        from .errors import numbers_of

        raise click.UsageError(f"--index {beyond[0]} is beyond the dataset: {numbers_of(length)}")
    samples = min(samples, length)
    return list(indices) or [number * length // samples for number in range(samples)]


def _is_bgr(cfg: Any) -> bool:
    """Whether the dataset's pipeline returns images in BGR order.

    This is so if the config tells the model's data preprocessor to convert BGR to RGB.
    """
    for holder in (cfg.get("data_preprocessor"), (cfg.get("model") or {}).get("data_preprocessor")):
        if holder and (holder.get("bgr_to_rgb") or holder.get("to_rgb")):
            return True
    return False
