"""Mistakes in settings for several ranks are told in words, on one process and before anything runs."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed_jobs import HERE, run_job
from torch import nn

from eng.checkpoint._file_names import COMMON
from eng.model import MMFullyShardedDataParallel
from eng.registry import STRATEGIES
from eng.runner import SettingsError
from eng.runner.strategy import FSDPStrategy
from eng.runner.strategy.sharded_files import join, read_folder, split
from eng.runner.strategy.wrap_policy import read_wrap_policy

HAS_DEEPSPEED = importlib.util.find_spec("deepspeed") is not None


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


def test_ranks_that_do_not_fill_the_machines_are_refused(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="1 ranks are not spread evenly over machines of 2"):
        MMFullyShardedDataParallel(nn.Linear(1, 1), sharding_strategy="HYBRID_SHARD")


SHORT: dict[str, Any] = {"max_epochs": 1}
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "versions": ({}, "torch .* on rank 0, 2.0.1 on rank 1. Install the same on all machines"),
    "strategy": ({"strategy": {"type": "FSPD2"}}, "FSDP2"),
    "wrap-policy": (
        {"strategy": {"type": "FSDP2", "wrap_policy": {"classes": ["Blok"]}}},
        "wrap_policy classes='Blok' fits no module of Regressor; did you mean 'Block'",
    ),
    "batch": ({"loader": {"global_batch_size": 7}}, "global_batch_size=7 cannot be shared evenly by 2 ranks"),
    "sync-bn": ({"cfg": {"sync_bn": "apex"}}, "sync_bn should be 'torch' or 'mmcv', but got 'apex'"),
    "deepspeed-folder": ({"load_from": "deepspeed"}, "zero_to_fp32.py .* load_from='weights.pth'"),
    "folder-of-shards-cut-short": ({"load_from": "cut"}, "a sharded checkpoint has .metadata and common.pth"),
}
OF_ZERO: dict[str, tuple[dict[str, Any], str]] = {
    "zero-batch": (
        {"strategy": {"config": {"train_batch_size": 7}}},
        "train_batch_size=7 is not 1 samples .* x 1 accumulated losses x 2 ranks = 2",
    ),
    "zero-amp": ({"optim": {"type": "AmpOptimWrapper", "dtype": "bfloat16"}}, "bf16=dict"),
    "zero-clip-by-value": ({"optim": {"clip_grad": {"clip_value": 1.0}}}, "DeepSpeed clips by the norm only"),
    "zero-weights": ({"model": {"weighted": True}}, "takes no loss weights"),
    "zero-skip": ({"optim": {"skip_nonfinite": True}}, "nan_policy='skip'"),
}


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What runs on two ranks said of each mistake; one launch makes them all."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "deepspeed" / "global_step5").mkdir(parents=True)
    (folder / "deepspeed" / "global_step5" / "mp_rank_00_model_states.pt").touch()
    (folder / "cut").mkdir()
    made = {name: {**SHORT, **options} for name, (options, _) in MISTAKES.items()}
    for name, (options, _) in OF_ZERO.items() if HAS_DEEPSPEED else ():
        strategy = {"type": "DeepSpeedStrategy", **options.get("strategy", {})}
        made[name] = {**SHORT, **options, "strategy": strategy}
    for options in made.values():
        if "load_from" in options:
            options["load_from"] = str(folder / options["load_from"])
    jobs = {"jobs": {**made, "shared": {**SHORT, "loader": {"global_batch_size": 8}}}, "rank_of_another_torch": "1"}
    done = run_job(HERE / "training_job.py", folder, 2, jobs, timeout=280)
    assert done.code == 0, done.output[-4000:]
    return done.report


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    [
        *MISTAKES,
        *(
            pytest.param(name, marks=pytest.mark.skipif(not HAS_DEEPSPEED, reason="needs deepspeed"))
            for name in OF_ZERO
        ),
    ],
)
def test_a_mistake_is_told_on_rank_0(mistakes: dict[str, Any], name: str) -> None:
    _, words = {**MISTAKES, **OF_ZERO}[name]
    assert re.search(words, mistakes[name]["error"]), mistakes[name]["error"]


@pytest.mark.timeout(300)
def test_a_batch_for_all_ranks_is_shared(mistakes: dict[str, Any]) -> None:
    assert [len(batch) for batch in mistakes["shared"]["samples"]] == [8] * 5
