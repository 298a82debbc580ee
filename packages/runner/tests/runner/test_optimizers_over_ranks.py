"""Muon, schedule-free and frozen parameters on two ranks equal a loop in one process, also after a resume."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rank_processes import outputs_of_two_ranks

DRIVER = Path(__file__).with_name("optimizer_ranks.py")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each of two ranks wrote."""
    folder = tmp_path_factory.mktemp("ranks")
    return outputs_of_two_ranks(DRIVER, folder, str(folder / "rendezvous"))


@pytest.mark.timeout(160)
@pytest.mark.parametrize("scenario", ["muon_with_adamw_for_the_rest", "schedule_free", "frozen_until_an_epoch"])
def test_two_ranks_train_as_one_process(scenario: str, outputs: list[str]) -> None:
    if scenario.startswith("muon") and not hasattr(torch.optim, "Muon"):
        pytest.skip("torch.optim has Muon from 2.9 on")
    for output in outputs:
        assert f"passed {scenario}" in output, output[-3000:]
