"""Adapters merged into their base: the model is the one that the run built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from eng.model import BaseDataPreprocessor, BaseModel
from eng.registry import MODELS, Registry, isolated_registries
from eng.runner import Runner
from eng.runner.merging import merged_weights


class Adapted(nn.Module):
    """A layer and a change of it, merged as PEFT merges."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.change = nn.Linear(2, 2), nn.Linear(2, 2)

    def merge_and_unload(self) -> nn.Module:
        merged = nn.Linear(2, 2, dtype=self.base.weight.dtype)
        merged.load_state_dict(
            {name: value + getattr(self.change, name) for name, value in self.base.state_dict().items()}
        )
        return merged


class Special(BaseModel):
    def __init__(self, data_preprocessor: Any) -> None:
        super().__init__(data_preprocessor)
        assert isinstance(self.data_preprocessor, Prepared)
        self.network = Adapted()


class Prepared(BaseDataPreprocessor):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(1))


@pytest.fixture(autouse=True)
def library() -> Iterator[None]:
    with isolated_registries():
        models = Registry("model", parent=MODELS, scope="mylib")
        models.register_module(module=Special)
        models.register_module(module=Prepared)
        yield


def test_the_scope_the_precision_and_the_preprocessor_of_the_run_are_those_of_its_merged_model(tmp_path: Path) -> None:
    cfg: dict[str, Any] = {
        "model": {"type": "Special"}, "data_preprocessor": {"type": "Prepared"}, "default_scope": "mylib",
        "precision": {"weights": "bfloat16"}, "work_dir": str(tmp_path),
    }  # fmt: skip
    run = Runner.from_cfg(cfg)
    stored = run.model.state_dict()
    torch.save({"state_dict": stored, "meta": {}}, tmp_path / "last.pth")
    weights = merged_weights(cfg, tmp_path / "last.pth")
    assert sorted(weights) == ["bias", "weight"]
    for name, value in weights.items():
        assert value.dtype is torch.bfloat16
        assert torch.equal(value, stored[f"network.base.{name}"] + stored[f"network.change.{name}"])
