from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from model_workers import Wrapper, batch, flat, toy
from torch import nn

from eng.model import MMFullyShardedDataParallel, WrapperOptionError, is_model_wrapper
from eng.model.wrappers._sharding import modules_to_shard
from eng.registry import FUNCTIONS, MODEL_WRAPPERS, Registry

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


@pytest.fixture
def group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/init", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


BAD = {
    "strategy": ({"sharding_strategy": "FULL"}, WrapperOptionError, "sharding_strategy: expected one of FULL_SHARD"),
    "no-shard": ({"sharding_strategy": "NO_SHARD"}, WrapperOptionError, "use MMDistributedDataParallel"),
    "prefetch": ({"backward_prefetch": "NOW"}, WrapperOptionError, "backward_prefetch: expected 'BACKWARD_PRE'"),
    "orig": ({"use_orig_params": False}, WrapperOptionError, "use_orig_params: False is not possible"),
    "offload": ({"cpu_offload": "yes"}, TypeError, "cpu_offload takes True, False, None or a CPUOffload"),
    "precision": ({"mixed_precision": "half"}, TypeError, "mixed_precision takes None, a dict such as"),
    "precision-key": (
        {"mixed_precision": {"dtype": "half"}},
        WrapperOptionError,
        r"knows param_dtype.*got \['dtype'\]",
    ),
    "precision-type": (
        {"mixed_precision": {"param_dtype": "float33"}},
        WrapperOptionError,
        "'float33' is no type of torch",
    ),
    "policy": ({"auto_wrap_policy": "nope"}, WrapperOptionError, "auto_wrap_policy: 'nope' names no function"),
    "policy-type": ({"auto_wrap_policy": 3}, TypeError, "`auto_wrap_policy` should be"),
    "unknown": ({"cpu_ofload": True, "sync_module_state": True}, TypeError, "takes no argument 'cpu_ofload'"),
    "near": ({"sync_module_state": True}, TypeError, "did you mean 'sync_module_states'"),
}


@pytest.mark.parametrize(("options", "error", "match"), BAD.values(), ids=BAD)
def test_options_that_fsdp_cannot_take_are_named(group, options, error, match):
    with pytest.raises(error, match=match):
        MMFullyShardedDataParallel(toy(), **options)


def test_fsdp_needs_a_process_group():
    with pytest.raises(RuntimeError, match="needs a process group"):
        MMFullyShardedDataParallel(toy())


def test_options_without_effect_are_told(group, caplog):
    with caplog.at_level(logging.WARNING):
        MMFullyShardedDataParallel(
            toy(),
            backward_prefetch="BACKWARD_POST",
            limit_all_gathers=False,
            mixed_precision={"buffer_dtype": "float32"},
        )
    assert all(word in caplog.text for word in ("BACKWARD_POST", "limit_all_gathers", "buffer_dtype"))


def test_fsdp_gives_memory_to_modules_on_the_meta_device(group):
    seen = []
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    wrapped = MMFullyShardedDataParallel(
        model,
        param_init_fn=lambda module: (seen.append(module), nn.init.ones_(module.weight), nn.init.zeros_(module.bias)),
    )
    assert len(seen) == 2 and wrapped(torch.ones(1, 2)).item() == 4
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 2))
    assert torch.isfinite(MMFullyShardedDataParallel(model)(torch.ones(1, 2))).all()


def test_fsdp_adds_gradients_up_inside_no_sync(group):
    model = MMFullyShardedDataParallel(toy())
    plain = toy()
    with model.no_sync():
        model(batch(0, 1)["x"]).sum().backward()
    model(batch(0, 1)["x"]).sum().backward()
    for _ in range(2):
        plain(batch(0, 1)["x"]).sum().backward()
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours.grad.full_tensor(), theirs.grad, atol=1e-5)


def test_ignored_modules_stay_whole(group):
    plain = toy()
    first = plain.first
    model = MMFullyShardedDataParallel(plain, ignored_modules=[first])
    assert type(first.weight) is nn.Parameter and type(model.module.second.weight) is not nn.Parameter


def test_policy_by_name_in_the_registry():
    FUNCTIONS.register_module(
        name="wrap_linear_for_test",
        module=lambda module, recurse, nonwrapped_numel: recurse or isinstance(module, nn.Linear),
        force=True,
    )
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 1), nn.ReLU()))
    assert modules_to_shard(model, "wrap_linear_for_test", []) == [model[0], model[1][0]]
    assert modules_to_shard(model, "wrap_linear_for_test", [model[1]]) == [model[0]]
    assert modules_to_shard(model, None, []) == []


def test_is_model_wrapper_asks_child_registries():
    child = Registry("child wrapper", parent=MODEL_WRAPPERS, scope="wrappertest")

    @child.register_module()
    class OwnWrapper(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    assert is_model_wrapper(OwnWrapper(nn.Linear(1, 1))) and is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)))
    assert not is_model_wrapper(nn.Linear(1, 1))
    assert not is_model_wrapper(nn.DataParallel(nn.Linear(1, 1)), child)
