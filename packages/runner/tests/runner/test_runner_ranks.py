"""What a run asks of its ranks before anything is built, without ranks; the repository's tests/distributed has them."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
import torch
from torch import nn

from eng.model import BaseModel
from eng.runner import environment
from eng.runner.assemble import batch_share
from eng.runner.assemble.strategy import build_strategy, place_model
from eng.runner.errors import MixedVersionsError, SettingsError
from eng.runner.strategy._zero_model import cast_inputs


def test_examples_hold() -> None:
    assert doctest.testmod(batch_share).failed == 0


@pytest.mark.parametrize(
    ("cfg", "ranks", "words"),
    [
        ({"global_batch_size": 7}, 2, "global_batch_size=7 cannot be shared evenly by 2 ranks: take a multiple of 2"),
        ({"global_batch_size": 2}, 4, "by 4 ranks"),
        ({"global_batch_size": "8"}, 1, "'8' cannot be shared"),
        ({"global_batch_size": 8, "batch_size": 4}, 2, "batch_size=4 for each rank and global_batch_size=8 for all"),
    ],
    ids=["odd", "too-few", "text", "both"],
)
def test_a_batch_that_ranks_cannot_share_is_refused(
    cfg: dict[str, Any], ranks: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_share, "get_data_world_size", lambda: ranks)
    with pytest.raises(SettingsError, match=words):
        batch_share.with_batch_of_rank(cfg)


def test_a_batch_is_shared_by_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_share, "get_data_world_size", lambda: 4)
    assert batch_share.with_batch_of_rank({"global_batch_size": 8}) == {"batch_size": 2}
    assert batch_share.with_batch_of_rank({"batch_size": 3}) == {"batch_size": 3}


def test_ranks_with_other_versions_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = {"Python": "3.11", "torch": "2.13.0", "eng-runner": "1.0.0"}
    of_ranks = [mine, {**mine, "torch": "2.12.1"}, mine]
    monkeypatch.setattr(environment, "all_gather_object", lambda _: of_ranks)
    words = r"different versions: torch 2.13.0 on rank 0, 2, 2.12.1 on rank 1. Install the same"
    with pytest.raises(MixedVersionsError, match=words) as caught:
        environment.check_versions()
    assert caught.value.versions == {"torch": ["2.13.0", "2.12.1", "2.13.0"]}
    of_ranks[1] = dict(mine)
    environment.check_versions()


def test_a_wrapped_model_stays_as_it_is() -> None:
    strategy, wrapped = build_strategy(None, "work"), nn.DataParallel(nn.Linear(1, 1))
    assert place_model(strategy, wrapped, None) is wrapped
    with pytest.raises(TypeError, match="in a DataParallel already"):
        place_model(strategy, wrapped, {"type": "MMDistributedDataParallel"})


def test_one_process_has_no_synchronised_normalisation() -> None:
    placed = place_model(build_strategy(None, "work"), nn.Sequential(nn.SyncBatchNorm(2)), None, {"sync_bn": "torch"})
    assert not isinstance(placed[0], nn.SyncBatchNorm)


class Typed(BaseModel):
    def forward(self, x: Any, y: Any = None, mode: str = "tensor") -> Any:
        return x, y


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (None, (torch.bfloat16, torch.bfloat16)),
        ([0], (torch.bfloat16, torch.float32)),
        (["y"], (torch.float32, torch.bfloat16)),
    ],
    ids=["all", "by-position", "by-name"],
)
def test_inputs_are_cast_where_they_are_asked_for(only: Any, expected: Any) -> None:
    model = Typed()
    cast_inputs(model, torch.bfloat16, only)
    x, y = model([torch.ones(1)], y={"a": (torch.ones(1), torch.ones(1, dtype=torch.int64), "text")})
    assert (x[0].dtype, y["a"][0].dtype) == expected
    assert (y["a"][1].dtype, y["a"][2]) == (torch.int64, "text")
