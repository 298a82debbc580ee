from __future__ import annotations

import pytest
from optim_parts import CONFIG, Twenty, points, run, shown

from eng.registry import DATASETS


@pytest.fixture(autouse=True)
def dataset():
    DATASETS.register_module(module=Twenty, force=True)
    yield
    del DATASETS.module_dict["Twenty"]


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


def test_a_schedule_that_says_nothing_counts_what_the_run_counts() -> None:
    scheduler = dict(type="MultiStepLR", milestones=[2])
    assert shown(scheduler, max_iters=4)[""] == pytest.approx([1, 1, 0.1, 0.1])
    assert shown(scheduler, max_epochs=3)[""] == pytest.approx([1] * 8 + [0.1] * 4)
