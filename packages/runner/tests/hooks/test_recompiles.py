"""Functions that torch.compile compiles again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from eng.hooks._recompiles import Recompiles
from eng.model import BaseModel
from eng.runner import Runner


@pytest.fixture(autouse=True)
def fresh() -> Any:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_each_new_shape_is_counted_with_its_reason() -> None:
    def double(value: torch.Tensor) -> torch.Tensor:
        return value * 2

    fast = torch.compile(double, backend="eager", dynamic=False)
    seen = Recompiles()
    seen.begin()
    fast(torch.ones(2))
    assert seen.news() == ""  # the first time is no recompile
    fast(torch.ones(2))
    assert seen.news() == ""
    fast(torch.ones(3))
    fast(torch.ones(4))
    text = seen.news()
    assert text.startswith(f"torch.compile compiled again 2 times: double ({__file__}:")
    assert "size mismatch at index 0. expected 2, actual 3" in text
    fast(torch.ones(5))
    assert seen.news().startswith("torch.compile compiled again 1 time, 3 in all: ")
    assert seen.count == 3


class Uneven(torch.utils.data.Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.ones(4 if index < 3 else 5)


class Compiled(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(1.0))
        self.scaled = torch.compile(self._scaled, backend="eager", dynamic=False)

    def _scaled(self, value: torch.Tensor) -> torch.Tensor:
        return (value * self.weight).sum()

    def forward(self, value: torch.Tensor, mode: str = "tensor") -> dict[str, torch.Tensor]:
        return {"loss": self.scaled(value)}


def test_a_run_says_that_its_model_was_compiled_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loader = torch.utils.data.DataLoader(Uneven(), batch_size=None, collate_fn=lambda value: [value])
    Runner(
        Compiled(), str(tmp_path), train_dataloader=loader, train_cfg=dict(max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)), default_hooks=dict(logger=dict(type="LoggerHook", interval=2)),
    ).train()  # fmt: skip
    printed = capsys.readouterr().out
    assert printed.count("torch.compile compiled again 1 time: _scaled") == 1
    scalars = next(tmp_path.glob("*/vis_data/scalars.json")).read_text()
    assert scalars.count('"recompiles": 1') == 2  # at the log points behind it
