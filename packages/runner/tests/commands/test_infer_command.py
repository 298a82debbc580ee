"""`eng infer`: which inferencer, which weights, which output."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from torch import nn

from eng.infer import BaseInferencer
from eng.infer._commands import infer
from eng.model import BaseModel
from eng.registry import INFERENCERS, MODELS


class Scale(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return [{"mean": self.weight * each.mean()} for each in inputs]


class ScaleInferencer(BaseInferencer):
    def _init_pipeline(self, cfg):
        return lambda item: {"inputs": torch.from_numpy(np.load(item))}

    def visualize(self, inputs, preds, show=False):
        print("a library that prints")
        return [np.full((2, 2, 3), 9, np.uint8) for _ in preds]

    def postprocess(self, preds, visualization, return_datasample=False):
        return {"predictions": preds, "visualization": visualization}


@pytest.fixture(autouse=True)
def registered():
    MODELS.register_module(module=Scale, force=True)
    INFERENCERS.register_module(module=ScaleInferencer, force=True)
    yield
    del MODELS.module_dict["Scale"]
    del INFERENCERS.module_dict["ScaleInferencer"]


@pytest.fixture
def project(here: Path) -> Path:
    """A config, two inputs, and a work dir with a checkpoint of weight 3."""
    (here / "scale.py").write_text(
        'model = dict(type="Scale")\ninferencer = dict(type="ScaleInferencer", device="cpu")\nwork_dir = "run"\n'
    )
    for number in (1, 2):
        np.save(here / f"{number}.npy", np.full((2, 2), float(number), np.float32))
    (here / "run").mkdir()
    save(here / "run" / "epoch_1.pth", 3.0)
    return here


def save(path: Path, weight: float) -> None:
    torch.save({"state_dict": {"weight": torch.tensor(weight)}, "meta": {"iter": 1, "time": ""}}, path)


def test_newest_weights_of_the_work_dir_are_taken(project: Path, call) -> None:
    status, said = call(infer, "scale.py", "1.npy", "2.npy", "--json")
    assert status == 0
    assert json.loads(said) == [
        {"input": "1.npy", "prediction": {"mean": 3.0}},
        {"input": "2.npy", "prediction": {"mean": 6.0}},
    ]


def test_lines_for_people(project: Path, call) -> None:
    assert call(infer, "scale.py", "1.npy") == (0, "1.npy: mean 3\n")


def test_given_weights_and_inferencer_win(project: Path, call) -> None:
    save(project / "five.pth", 5.0)
    words = ("--weights", "five.pth", "--inferencer", "ScaleInferencer", "--device", "cpu")
    assert call(infer, "scale.py", "1.npy", *words) == (0, "1.npy: mean 5\n")


def test_pictures_are_saved_by_number_and_name(project: Path, call) -> None:
    image = pytest.importorskip("PIL.Image")
    call(infer, "scale.py", "1.npy", "2.npy", "--out-dir", "out")
    assert sorted(path.name for path in (project / "out").iterdir()) == ["0-1.png", "1-2.png"]
    assert image.open(project / "out" / "0-1.png").getpixel((0, 0)) == (9, 9, 9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("bare.py", "1.npy", "--weights", "run/epoch_1.pth"), "does not say which inferencer"),
        (("scale.py", "1.npy", "--inferencer", "Scal"), "no inferencer is registered as 'Scal'.*ScaleInferencer"),
        (("empty.py", "1.npy"), "no checkpoint in nowhere, so name one by --weights"),
        (("some_model", "1.npy", "--cfg-options", "a=1"), "'some_model' names a published model"),
        (("scale", "1.npy"), r"(?s)no file scale; did you mean 'scale\.py'\?.*say by which library: --scope"),
    ],
    ids=["no inferencer", "unknown inferencer", "no weights", "options for a name", "no file"],
)
def test_calls_that_cannot_work(project: Path, call, words, message: str) -> None:
    (project / "bare.py").write_text('model = dict(type="Scale")\n')
    (project / "empty.py").write_text('model = dict(type="Scale")\nwork_dir = "nowhere"\n')
    with pytest.raises(click.ClickException, match=message):
        call(infer, *words)
