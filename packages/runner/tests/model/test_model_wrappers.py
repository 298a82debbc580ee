from __future__ import annotations

import json

import pytest
from model_workers import batch, flat, toy
from model_wrappers_parts import assert_close, ranks

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
