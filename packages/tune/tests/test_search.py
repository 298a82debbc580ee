from __future__ import annotations

import pytest

from eng.tune import Grid, OptunaSearch, RandomSearch
from eng.tune._search import search_from_json, search_to_json


@pytest.mark.parametrize(
    "search", [Grid(), RandomSearch(7), OptunaSearch(5, sampler_args={"n_startup_trials": 1}, storage="sqlite:///a.db")]
)
def test_settings_survive_as_plain_data(search: Grid | RandomSearch | OptunaSearch) -> None:
    assert search_from_json(search_to_json(search)) == search
