from __future__ import annotations

import numpy as np
import pytest
from model_workers import flat, trained_on_all_forms
from model_wrappers_parts import assert_close, ranks


@pytest.mark.timeout(100)
def test_ddp_of_two_ranks_trains_as_one_process(tmp_path, single):
    first, second = ranks("ddp", 2, tmp_path)
    assert_close(first["state"], flat(single.state_dict()))
    assert first["state"] == second["state"] and list(first["logs"][0]) == ["loss_a", "loss_b", "acc", "loss"]
    alone = trained_on_all_forms(0, 1, lambda model: model)
    assert first["forms"] == second["forms"]
    np.testing.assert_allclose(first["forms"], alone, atol=1e-6)
    assert len({tuple(state) for state in alone[:7]}) == 7  # each step changed the weights
