"""`eng browse`: the right pixels in the right cells."""

from __future__ import annotations

import random
from pathlib import Path

import click
import numpy as np
import pytest

from eng.dataset._commands import browse
from eng.registry import DATASETS

image_of = pytest.importorskip("PIL.Image")

from browse_command_parts import Squares

CONFIG = """
model = dict(data_preprocessor=dict(bgr_to_rgb=True))
randomness = dict(seed=3)
train_dataloader = dict(batch_size=2, dataset=dict(type="Squares"))
"""


@pytest.fixture(autouse=True)
def registered():
    DATASETS.register_module(module=Squares, force=True)
    yield
    del DATASETS.module_dict["Squares"]


@pytest.fixture
def config(here: Path) -> Path:
    (here / "squares.py").write_text(CONFIG)
    return here / "squares.py"


def test_sheet_has_a_row_for_each_sample_and_a_column_for_each_epoch(config: Path, here: Path, call) -> None:
    status, said = call(browse, config, "--samples", 2, "--epochs", 3, "--cell", 16)
    assert (status, said) == (0, "wrote squares-train.png: 2 of 10 samples in 3 epochs\n")
    sheet = np.asarray(image_of.open(here / "squares-train.png"))
    assert sheet.shape == (2 * (16 + 14 + 4) + 4, 3 * (16 + 4) + 4, 3)
    # Red comes first again, and differs between the epochs of one sample.
    corners = [tuple(sheet[4, 4 + 20 * column]) for column in range(3)]
    assert {corner[1:] for corner in corners} == {(100, 200)}
    assert len({corner[0] for corner in corners}) == 3


def test_sheet_shows_what_training_would_see(config: Path, here: Path, call) -> None:
    call(browse, config, "--index", 7, "--epochs", 2, "--out", "first.png")
    random.seed(99)
    call(browse, config, "--index", 7, "--epochs", 2, "--out", "deep/second.png")
    assert (here / "first.png").read_bytes() == (here / "deep" / "second.png").read_bytes()


def test_one_of_several_sets_is_chosen_by_its_name(config: Path, here: Path, call) -> None:
    text = config.read_text()
    config.write_text(f"{text}\nval_dataloader = dict(clean=train_dataloader, noisy=train_dataloader)\n")
    call(browse, config, "--split", "val/noisy", "--index", 7, "--epochs", 2, "--out", "noisy.png")
    call(browse, config, "--index", 7, "--epochs", 2, "--out", "train.png")
    assert (here / "noisy.png").read_bytes() == (here / "train.png").read_bytes()
    call(browse, config, "--split", "val/clean", "--epochs", 1)
    assert [path.name for path in config.parent.glob("*val*")] == [f"{config.stem}-val-clean.png"]
    for split in ("val", "val/niosy"):
        with pytest.raises(click.UsageError, match="several sets: --split val/clean or --split val/noisy"):
            call(browse, config, "--split", split)


def test_a_list_of_samples_is_a_dataset(config: Path, here: Path, call) -> None:
    config.write_text("train_dataloader = dict(batch_size=2, dataset=[dict(img=[[[0, 9, 200]] * 4] * 4)] * 3)\n")
    _, said = call(browse, config, "--epochs", 1)
    assert said == "wrote squares-train.png: 3 of 3 samples in 1 epoch\n"


@pytest.mark.parametrize(
    "loader",
    ["dict(batch_size=4, sampler=dict(type='DefaultSampler'))", "[dict(x=1), dict(x=2)]"],
    ids=["config", "list"],
)
def test_a_loader_without_a_dataset_is_no_several_sets(config: Path, call, loader: str) -> None:
    config.write_text(f"train_dataloader = {loader}\n")
    with pytest.raises(click.ClickException, match="no train_dataloader with a dataset; it has data to do nothing"):
        call(browse, config)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--split", "test"), "no test_dataloader with a dataset; it has data to train"),
        (("--index", 10), "10 samples"),
        (("--out", "sheet.xyz"), r"--out sheet\.xyz: Pillow writes no \.xyz files"),
    ],
    ids=["split", "index", "format"],
)
def test_calls_that_cannot_work(config: Path, call, words, message: str) -> None:
    with pytest.raises(click.ClickException, match=message):
        call(browse, config, *words)
    assert not list(config.parent.glob("*.png"))
