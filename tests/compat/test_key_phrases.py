"""Phrases of MMEngine's messages that scripts and test suites of libraries match stand in eng's messages too.

Each phrase was read from the message that MMEngine 0.10.7 gives for the same call.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from eng import fileio
from eng.config import Config
from eng.evaluator import get_metric_value
from eng.model import BaseModel, BaseTTAModel
from eng.optim import LinearLR, build_optim_wrapper
from eng.registry import MODELS
from eng.runner import Runner, get_priority


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return inputs


class Merging(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return data_samples_list


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD(Line().parameters(), lr=0.1)


def without_decay() -> None:
    wrapper = {
        "type": "OptimWrapper",
        "optimizer": {"type": "SGD", "lr": 0.1},
        "paramwise_cfg": {"norm_decay_mult": 0.0},
    }
    build_optim_wrapper(Line(), wrapper)


CALLS = {
    "end should be larger than begin": lambda: LinearLR(sgd(), begin=5, end=3),
    "should be an Optimizer": lambda: LinearLR([]),
    "param 'initial_lr' is not specified in param_groups[0]": lambda: LinearLR(sgd(), last_step=3),
    "`suffix` should be None when `list_dir` is True": lambda: list(fileio.list_dir_or_file(".", suffix=".py")),
    "uri should not be None": lambda: fileio.get_file_backend(backend_args={}),
    "cfg_dict must be a dict": lambda: Config([1]),
    "filename is reserved for config file": lambda: Config({"filename": 1}),
    "priority must be between 0 and 100": lambda: get_priority(101),
    'must contain the key "type"': lambda: MODELS.build({"a": 1}),
    "is not in the eng::model registry": lambda: MODELS.build({"type": "Nope"}),
    "can not match any metric": lambda: get_metric_value("x", {"a/y": 1}),
    "matches multiple metrics": lambda: get_metric_value("y", {"a/y": 1, "b/y": 2}),
    "should not be None": without_decay,
    "will not be called": lambda: Merging(module=Line()).forward({}),
}
WITHOUT_PARTS = {
    "train": "train() needs train_dataloader, train_cfg and optim_wrapper, which should not be None",
    "val": "val() needs val_dataloader and val_cfg, which should not be None",
    "test": "test() needs test_dataloader and test_cfg, which should not be None",
}


@pytest.mark.parametrize("phrase", CALLS)
def test_phrase(phrase: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, NotImplementedError), match=re.escape(phrase)):
        CALLS[phrase]()


def test_phrases_of_a_runner(tmp_path: Path) -> None:
    runner = Runner(Line(), str(tmp_path))
    for method, message in WITHOUT_PARTS.items():
        with pytest.raises(RuntimeError, match=re.escape(message)):
            getattr(runner, method)()
    with pytest.raises(ValueError, match="should be either all None or not None"):
        Runner(Line(), str(tmp_path), train_cfg={"by_epoch": True, "max_epochs": 1})
