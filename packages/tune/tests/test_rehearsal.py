from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tune_parts import runner

from eng.runner import Runner
from eng.tune import find_lr, find_workers


def everything(run: Runner) -> dict[str, Any]:
    wrapper = run.optim_wrapper
    return {
        "model": {name: value.clone() for name, value in run.model.state_dict().items()},
        "grads": [None if p.grad is None else p.grad.clone() for p in run.model.parameters()],
        "calls": run.model.num_calls, "mode": [module.training for module in run.model.modules()],
        "optimizer": copy.deepcopy(wrapper.state_dict()) if hasattr(wrapper, "state_dict") else copy.deepcopy(wrapper),
        "torch": torch.get_rng_state(), "python": random.getstate(), "numpy": np.random.get_state()[1].copy(),
        "loader": run.train_dataloader.sampler.generator.get_state(), "hub": copy.deepcopy(run.message_hub.state_dict()),
        "files": {str(path): path.read_bytes() for path in sorted(Path(run.work_dir).rglob("*")) if path.is_file()},
    }  # fmt: skip


def assert_same(one: Any, other: Any, path: str = "") -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), path
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{path}.{index}")
    elif isinstance(one, (torch.Tensor, np.ndarray)):
        assert np.array_equal(np.asarray(one), np.asarray(other), equal_nan=True), path
    elif hasattr(one, "__dict__") and type(one).__module__.startswith("eng."):
        assert_same(vars(one), vars(other), path)
    else:
        assert one == other, path


CALLS = {
    "lr": lambda run: run.tune("lr", num_iters=12, trial_iters=3, num_trials=2),
    "batch": lambda run: run.tune("batch", memory="100GB", largest=8),
    "workers": lambda run: run.tune("workers", counts=[0], seconds=0.05),
}


@pytest.mark.parametrize("setting", CALLS)
@pytest.mark.parametrize("trained", [False, True], ids=["new", "trained"])
def test_run_stays_as_it_is_in_bits(setting: str, trained: bool, tmp_path: Path) -> None:
    run = runner(tmp_path)
    if trained:
        run.train()
    before = everything(run)
    CALLS[setting](run)
    assert_same(before, everything(run))


def test_training_after_a_search_equals_one_without(tmp_path: Path) -> None:
    plain, tuned = runner(tmp_path / "plain"), None
    plain.train()
    tuned = runner(tmp_path / "tuned")
    for call in CALLS.values():
        call(tuned)
    tuned.train()
    assert_same(plain.model.state_dict(), tuned.model.state_dict())


def test_config_leaves_no_file_and_no_generator_behind(config: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    path = config()
    files, state = sorted(tmp_path.rglob("*")), torch.get_rng_state()
    found = find_lr(path, num_iters=20, trial_iters=5, num_trials=3)
    find_workers(path, counts=[0], seconds=0.05)
    assert sorted(tmp_path.rglob("*")) == files
    assert torch.equal(torch.get_rng_state(), state)
    assert found.current == 0.1
