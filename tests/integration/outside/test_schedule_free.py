"""The optimizers of the package schedulefree: modes, resume and two ranks."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from eng.hooks import Hook
from eng.runner import Runner

schedulefree = pytest.importorskip("schedulefree")

EPOCHS, DRIVER = 3, Path(__file__).with_name("schedule_free_ranks.py")
OPTIMIZERS = {
    "AdamWScheduleFree": {"lr": 0.02, "warmup_steps": 3, "weight_decay": 0.1},
    "RAdamScheduleFree": {"lr": 0.02},
    "SGDScheduleFree": {"lr": 0.5, "momentum": 0.9, "warmup_steps": 2},
}


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))


def loader() -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(20, 2, generator=generator), torch.randint(0, 3, (20,), generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=4)


def losses_of(model: nn.Module) -> float:
    x, y = loader().dataset.tensors
    with torch.no_grad():
        return float(functional.cross_entropy(model(x), y))


class Stop(Hook):
    """Asks for the end of the run behind an iteration, as a signal does."""

    def __init__(self, number: int) -> None:
        self.number = number

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter + 1 == self.number:
            os.kill(os.getpid(), signal.SIGTERM)


def run(folder: Path, name: str, saves: bool, hooks: list[Hook], **settings: Any) -> Runner:
    validation = {"val_dataloader": loader(), "val_cfg": {"loss": True}, "val_evaluator": []}
    runner = Runner(
        net(), str(folder), loss="CrossEntropyLoss", train_dataloader=loader(), train_cfg={"max_epochs": EPOCHS},
        optim_wrapper={"optimizer": {"type": name, **OPTIMIZERS[name]}}, custom_hooks=hooks, log_level="ERROR",
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 1} if saves else None},
        **(validation if saves else {}), **settings,
    )  # fmt: skip
    try:
        runner.train()
    except SystemExit:
        assert hooks
    return runner


@pytest.fixture(scope="module", params=OPTIMIZERS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Runner]:
    """The name of an optimizer, and a run with it that validates and saves after each epoch."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, run(folder, request.param, True, [])


def test_equals_a_hand_written_loop(trained: tuple[str, Path, Runner]) -> None:
    name, folder, runner = trained
    model = net()
    optimizer = getattr(schedulefree, name)(model.parameters(), **OPTIMIZERS[name])
    validated = runner.message_hub.get_scalar("val/loss").data[0]
    for epoch in range(EPOCHS):
        optimizer.train()
        for x, y in loader():
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
        in_training = losses_of(model)
        optimizer.eval()
        saved = torch.load(folder / f"epoch_{epoch + 1}.pth", weights_only=False)["state_dict"]
        for key, value in model.state_dict().items():
            torch.testing.assert_close(saved[key], value, rtol=0, atol=1e-6, msg=key)
        assert validated[epoch] == pytest.approx(losses_of(model), abs=1e-6)
    assert abs(in_training - losses_of(model)) > 1e-5, "the weights for training and for evaluation do not differ"


@pytest.mark.parametrize("at", [1, 5, 8])
def test_a_run_stopped_anywhere_ends_with_the_bits_of_one_that_neither_validates_nor_saves(
    at: int, trained: tuple[str, Path, Runner], tmp_path: Path
) -> None:
    name = trained[0]
    plain = run(tmp_path / "plain", name, False, []).model.state_dict()
    run(tmp_path / "stopped", name, True, [Stop(at)])
    resumed = run(tmp_path / "stopped", name, True, [], resume=True)
    assert resumed.iter == 5 * EPOCHS
    for other in (trained[2], resumed):
        assert [key for key, value in other.model.state_dict().items() if not torch.equal(value, plain[key])] == []


@pytest.mark.timeout(160)
def test_two_ranks_train_as_one_process(tmp_path: Path) -> None:
    sys.path.insert(0, str(Path(__file__).parents[3] / "packages/runner/tests/runner"))
    from rank_processes import outputs_of_two_ranks

    for text in outputs_of_two_ranks(DRIVER, tmp_path, str(tmp_path / "rendezvous")):
        assert "passed" in text.splitlines(), text[-3000:]
