from __future__ import annotations

import pytest

from eng.optim import LinearParamScheduler


def test_any_value_of_a_group_can_be_scheduled(sgd):
    sgd.param_groups[0]["weight_decay"] = 0.4
    LinearParamScheduler(sgd, param_name="weight_decay", start_factor=0.5, end=3).step()
    assert sgd.param_groups[0]["weight_decay"] == pytest.approx(0.3)


def test_a_value_that_groups_do_not_have(sgd):
    with pytest.raises(KeyError, match="has no 'weight_dcay'; did you mean 'weight_decay'"):
        LinearParamScheduler(sgd, "weight_dcay")
