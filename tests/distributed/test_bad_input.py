"""Mistakes in settings for several ranks are told in words, on one process and before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from eng.registry import STRATEGIES
from eng.runner import SettingsError
from eng.runner.strategy import FSDPStrategy
from eng.runner.strategy.sharded_files import COMMON, join, read_folder, split
from eng.runner.strategy.wrap_policy import read_wrap_policy


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of this process only."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


MODEL = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.ReLU()))


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"classes": ["Liner"]}, r"classes='Liner' fits no module of Sequential; did you mean 'Linear'"),
        ({"names": ["1.2"]}, r"names='1.2' fits no module"),
        ({"min_params": 1000}, r"the largest one in Sequential has 20 parameters"),
        ({"class": ["Linear"]}, r"one of classes, min_params, names"),
    ],
    ids=["class", "name", "size", "kind"],
)
def test_a_wrap_policy_that_fits_nothing_is_refused(policy: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_wrap_policy(policy, MODEL)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"classes": [nn.Linear]}, ["0", "1.0"]),
        ({"names": ["1.*"]}, ["1.0", "1.1"]),
        ({"min_params": 20}, ["0", "1.0"]),
    ],
    ids=["class", "name", "size"],
)
def test_a_wrap_policy_chooses_modules(policy: dict[str, Any], expected: list[str]) -> None:
    from eng.model.wrappers._sharding import modules_to_shard

    names = {module: name for name, module in MODEL.named_modules()}
    assert [names[m] for m in modules_to_shard(MODEL, read_wrap_policy(policy, MODEL), [])] == expected


def test_sharding_without_a_process_group_says_how_to_get_one() -> None:
    with pytest.raises(SettingsError, match="--nproc N"):
        FSDPStrategy().convert_model(nn.Linear(1, 1))


def test_an_unknown_form_of_checkpoints_is_refused() -> None:
    with pytest.raises(SettingsError, match="'full' or 'sharded', got 'half'"):
        STRATEGIES.build({"type": "FSDP2", "checkpoint": "half"})


def test_a_missing_package_is_named_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(SettingsError, match=r"pip install 'deepspeed"):
        STRATEGIES.build({"type": "DeepSpeedStrategy"})


def test_a_folder_that_is_no_whole_checkpoint_is_refused(tmp_path: Path) -> None:
    from eng.checkpoint import BrokenCheckpointError

    with pytest.raises(BrokenCheckpointError, match="cut short"):
        read_folder(str(tmp_path), "cpu")


def test_a_checkpoint_is_taken_apart_and_joined(alone: None, tmp_path: Path) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import distribute_tensor

    mesh = init_device_mesh("cpu", (1,))
    checkpoint = {
        "state_dict": {"w": distribute_tensor(torch.ones(3), mesh)},
        "list": [1, (2, "x")],
        "meta": {"iter": 3},
    }
    common, shards = split(checkpoint)
    assert list(shards) == ["state_dict/w"]
    joined = join(common, shards)
    assert joined["state_dict"]["w"] is checkpoint["state_dict"]["w"]
    assert (joined["list"], joined["meta"]) == ([1, (2, "x")], {"iter": 3})
    assert COMMON == "common.pth"


@pytest.mark.timeout(60)
def test_unused_parameters_are_named(job: Callable[..., Any]) -> None:
    done = job("unused", 2, ok=False, model={"unused": True}, max_epochs=1)
    assert done.code != 0
    assert "spare.weight" in done.output
    assert "find_unused_parameters" in done.output
