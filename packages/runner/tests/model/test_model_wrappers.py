from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model_workers import Wrapper, batch, flat, toy

SCRIPT = str(Path(__file__).with_name("model_workers.py"))


def ranks(what: str, world: int, folder: Path, **env: str) -> list[dict]:
    """What each rank printed."""
    common = {
        **os.environ,
        "WORLD_SIZE": str(world),
        "INIT_FILE": str(folder / "init"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        **env,
    }
    started = [
        subprocess.Popen([sys.executable, SCRIPT, what], env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(world)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for rank in range(world)
    ]  # fmt: skip
    done = [process.communicate(timeout=90) for process in started]
    for process, (_, err) in zip(started, done, strict=True):
        assert process.returncode == 0, err[-3000:]
    return [json.loads(out.strip().splitlines()[-1]) for out, _ in done]


@pytest.fixture(scope="module")
def single():
    """The same two steps on one process with the whole batch."""
    model = toy()
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    for _ in range(2):
        model.train_step(batch(0, 1), wrapper)
    return model


def assert_close(found: dict, expected: dict) -> None:
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-6), name


@pytest.mark.timeout(100)
def test_ddp_of_two_ranks_trains_as_one_process(tmp_path, single):
    first, second = ranks("ddp", 2, tmp_path)
    assert_close(first["state"], flat(single.state_dict()))
    assert first["state"] == second["state"] and list(first["logs"][0]) == ["loss_a", "loss_b", "acc", "loss"]


@pytest.mark.timeout(100)
def test_separate_ddp_wraps_what_can_be_trained(tmp_path):
    first, second = ranks("separate", 2, tmp_path)
    assert first["kinds"] == {"data_preprocessor": False, "generator": True, "discriminator": True, "frozen": False}
    assert first["unsynced"] == [False, False] and first["state"] == second["state"]


FSDP = {
    "default": {},
    "offload": {"cpu_offload": True, "policy": "callable"},
    "zero2-by-size": {
        "sharding_strategy": "SHARD_GRAD_OP",
        "policy": {"type": "size_based_auto_wrap_policy", "min_num_params": 5},
        "sync_module_states": True,
    },
    "float32-precision": {"mixed_precision": {"param_dtype": "float32", "reduce_dtype": "torch.float32"}},
}


@pytest.mark.timeout(100)
@pytest.mark.parametrize("options", FSDP.values(), ids=FSDP)
def test_fsdp_of_two_ranks_trains_as_one_process(tmp_path, single, options):
    first, second = ranks("fsdp", 2, tmp_path, FSDP_OPTIONS=json.dumps(options))
    assert_close(first["state"], flat(single.state_dict()))
    assert first["reloaded"] == first["state"] == second["state"]
    assert first["names"] == list(toy().state_dict()) and first["sharded"] and first["wrapper"]
    assert first["prediction"] == pytest.approx(single.val_step(batch(0, 1))[0].flatten().tolist(), abs=1e-6)
