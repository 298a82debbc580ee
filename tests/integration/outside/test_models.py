"""Models of timm, torchvision and transformers train from a config alone: two epochs, saved, resumed and validated.

``nox -s outside`` installs the libraries; a test whose library is missing is skipped. ``ENG_OUTSIDE_ALL=1`` runs all
models, otherwise the quick half runs.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from outside_models import CASES, Case, config_of

from eng.registry import isolated_registries
from eng.runner import Runner

RUNS_ALL = os.environ.get("ENG_OUTSIDE_ALL") == "1"
ELIGIBLE = [case for case in CASES if RUNS_ALL or case.in_quick_half]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with isolated_registries():
        yield
    torch.set_num_threads(threads)


def needs(case: Case) -> None:
    if case.library in ("timm", "torchvision", "transformers") and importlib.util.find_spec(case.library) is None:
        pytest.skip(f"{case.library} is not installed")


def test_there_are_twenty_models() -> None:
    libraries = [case.library for case in CASES]
    assert len(CASES) == len({case.name for case in CASES}) == 20
    assert [libraries.count(name) for name in ("timm", "torchvision", "transformers")] == [5, 5, 9]


@pytest.mark.timeout(170)
@pytest.mark.parametrize("case", ELIGIBLE, ids=lambda case: case.name)
def test_trains_saves_resumes_and_validates(case: Case, tmp_path: Path) -> None:
    needs(case)
    straight = Runner.from_cfg(config_of(case, str(tmp_path / "straight")))
    straight.train()
    losses = straight.message_hub.get_scalar("val/loss").data[0]
    assert len(losses) == 2
    assert all(0 < loss < 100 for loss in losses)

    resumed = Runner.from_cfg(
        config_of(case, str(tmp_path / "resumed"), load_from=str(tmp_path / "straight/epoch_1.pth"), resume=True)
    )
    assert resumed.iter == 0
    resumed.train()
    assert (resumed.epoch, resumed.iter) == (2, 4)
    expected = straight.model.state_dict()
    differing = [name for name, value in resumed.model.state_dict().items() if not torch.equal(value, expected[name])]
    assert differing == []

    saved = torch.load(tmp_path / "straight/epoch_2.pth", weights_only=False)["state_dict"]
    bare = Runner.from_cfg(config_of(case, str(tmp_path / "bare"))).model.network
    bare.load_state_dict(saved)  # the names are those of the library's own model
    assert all(torch.equal(value, expected[name]) for name, value in bare.state_dict().items())
