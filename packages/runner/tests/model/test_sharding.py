from __future__ import annotations

import logging

import pytest
import torch
from model_workers import toy
from torch import nn

from eng.model import MMFullyShardedDataParallel, WrapperOptionError
from eng.model.wrappers._sharding import modules_to_shard
from eng.registry import FUNCTIONS

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
