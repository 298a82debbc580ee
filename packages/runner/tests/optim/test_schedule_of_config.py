from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from optim_command_parts import Services

from eng.optim._commands import lr
from eng.registry import DATASETS

CONFIG = {
    "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
    "param_scheduler": [
        {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 5},
        {"type": "MultiStepLR", "milestones": [2], "gamma": 0.1},
        {"type": "ReduceOnPlateauLR"},
    ],
    "train_cfg": {"by_epoch": True, "max_epochs": 3},
    "train_dataloader": {"batch_size": 2, "dataset": {"type": "Twenty"}},
}


class Twenty:
    def __len__(self):
        return 20


@pytest.fixture(autouse=True)
def dataset():
    DATASETS.register_module(module=Twenty, force=True)
    yield
    del DATASETS.module_dict["Twenty"]


def run(config, *words):
    services = Services(config)
    return CliRunner().invoke(lr, ["a.py", *words], obj=services), services


def points(config, *words):
    result, _ = run(config, "--json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_ranks_share_an_epoch():
    assert len(points(CONFIG, "--world-size", "2")[""]["iterations"]) == 15


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "the config has no optim_wrapper"),
        (dict(CONFIG, train_cfg=None), "the config has no train_cfg"),
        (dict(CONFIG, train_dataloader={"dataset": 3}), "the length of an epoch is unknown.*give --epoch-length"),
        (dict(CONFIG, train_cfg={"by_epoch": True}), "no train_cfg.max_epochs"),
    ],
    ids=["empty", "no run", "no dataset", "no length"],
)
def test_mistakes(config, words):
    result, _ = run(config)
    assert isinstance(result.exception, (ValueError, KeyError))
    import re

    assert re.search(words, str(result.exception))


def shown(param_scheduler, optim_wrapper=None, **train_cfg) -> dict:
    from eng.optim._schedule_of_config import previews_of

    cfg = dict(
        optim_wrapper=optim_wrapper or dict(optimizer=dict(type="SGD", lr=1.0)),
        param_scheduler=param_scheduler,
        train_cfg=train_cfg,
    )
    return {name: preview.lr[0] for name, preview in previews_of(cfg, lambda: None, epoch_length=4).items()}


def test_a_schedule_that_says_nothing_counts_what_the_run_counts() -> None:
    scheduler = dict(type="MultiStepLR", milestones=[2])
    assert shown(scheduler, max_iters=4)[""] == pytest.approx([1, 1, 0.1, 0.1])
    assert shown(scheduler, max_epochs=3)[""] == pytest.approx([1] * 8 + [0.1] * 4)
