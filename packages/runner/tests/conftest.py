"""A run of seconds for the tests of runner and hooks, and a library for those of hub and infer."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import eng.registry
from eng.evaluator import BaseMetric
from eng.logging import MessageHub, MMLogger
from eng.model import BaseModel
from eng.registry import DefaultScope
from eng.runner import Runner
from eng.visualization import Visualizer

# Processes that tests start import their helpers from these folders, and so do the tests.
ROOMS = (
    "checkpoint",
    "commands",
    "dataset",
    "evaluator",
    "hooks",
    "infer",
    "logging",
    "model",
    "optim",
    "runner",
    "visualization",
)
HELPERS = [str(Path(__file__).parent / room) for room in ROOMS]
sys.path[:0] = [folder for folder in HELPERS if folder not in sys.path]

LIBRARY = "tinylib_of_tests"

REGISTRY = """
from eng.registry import MODELS as ROOT
from eng.registry import Registry

MODELS = Registry("model", parent=ROOT, scope="{library}", locations=["{library}.models"])
"""
MODELS = '''
from typing import Any

import torch
from torch import nn

from eng.model import BaseModel

from .registry import MODELS


@MODELS.register_module()
class LibraryAffine(BaseModel):
    """Mean of the picture times a weight."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(scale))

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        pictures = torch.stack(inputs) if isinstance(inputs, list) else inputs
        return list(self.weight * pictures.flatten(1).mean(dim=1))
'''
INDEX = "Import:\n  - affine/metafile.yml\n"
METAFILE = """
Models:
  - Name: affine_double
    Alias: double
    Config: configs/affine/double.py
    Weights: {weights}
  - Name: affine_plain
    Config: configs/affine/plain.py
  - Name: paper_only
"""


class Line(BaseModel):
    """Fits y = 3 x; `bad_at` names calls whose loss is NaN."""

    def __init__(self, bad_at: tuple[int, ...] = (), bias: bool = True) -> None:
        super().__init__()
        self.fit = nn.Linear(1, 1, bias=bias)
        nn.init.constant_(self.fit.weight, 0.5)
        if bias:
            nn.init.zeros_(self.fit.bias)
        self.bad_at, self.calls = set(bad_at), 0

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor") -> Any:
        error = (self.fit(x) - y).square()
        if mode == "loss":
            self.calls += 1
            return {"loss": error.mean() * (float("nan") if self.calls in self.bad_at else 1.0)}
        return list(error)


class Scores(BaseMetric):
    """Gives, at each validation, the next of the numbers that it was made with."""

    def __init__(self, **scores: list[float]) -> None:
        super().__init__()
        self.scores, self.validations = scores, 0

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(len(data_samples))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        self.validations += 1
        return {name: values[min(self.validations, len(values)) - 1] for name, values in self.scores.items()}


class Parts:
    """What tests build runs from."""

    Line = Line
    Scores = Scores

    @staticmethod
    def loader(samples: int = 8, batch_size: int = 2) -> DataLoader[Any]:
        x = torch.linspace(0, 1, samples)[:, None]
        return DataLoader(TensorDataset(x, 3 * x), batch_size=batch_size)

    @classmethod
    def settings(cls, work_dir: Any, **changes: Any) -> dict[str, Any]:
        """Two epochs of four iterations; what is given as None is left out."""
        settings = {
            "model": Line(),
            "work_dir": str(work_dir),
            "train_dataloader": cls.loader(),
            "train_cfg": {"by_epoch": True, "max_epochs": 2},
            "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}},
            "randomness": {"seed": 1},
            "log_level": "WARNING",
            "experiment_name": f"test_{torch.randint(10**9, ()).item()}_{id(work_dir)}",
            **changes,
        }
        return {name: value for name, value in settings.items() if value is not None}

    @classmethod
    def validation(cls, **scores: list[float]) -> dict[str, Any]:
        return {"val_dataloader": cls.loader(), "val_cfg": {}, "val_evaluator": cls.Scores(**scores)}


@pytest.fixture(autouse=True)
def a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tests start finds the helpers, and no test believes that it is one of several ranks."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [*HELPERS, os.environ.get("PYTHONPATH")])))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


@contextmanager
def named_instances_as_before() -> Iterator[None]:
    """A logger that one test leaves would print what the next one logs, and its level decide what is logged."""
    kinds = (MMLogger, MessageHub, Visualizer, DefaultScope)
    before = [dict(kind._instance_dict) for kind in kinds]
    top = logging.getLogger("eng")
    handlers, level = list(top.handlers), top.level
    yield
    top.handlers[:] = handlers
    top.setLevel(level)
    for kind, kept in zip(kinds, before, strict=True):
        for name, instance in kind._instance_dict.items():
            if name not in kept and isinstance(instance, logging.Logger):
                for handler in list(instance.handlers):
                    instance.removeHandler(handler)
                    handler.close()
        kind._instance_dict.clear()
        kind._instance_dict.update(kept)


@pytest.fixture(autouse=True, scope="module")
def what_a_file_of_tests_shares_stays_there() -> Iterator[None]:
    """Runs in fixtures of a module begin before the fixture below looks, so it would keep what they leave."""
    with named_instances_as_before():
        yield


@pytest.fixture(autouse=True)
def named_instances_are_restored() -> Iterator[None]:
    with named_instances_as_before():
        yield


@pytest.fixture
def parts() -> type[Parts]:
    return Parts


@pytest.fixture
def make_runner(tmp_path):
    """Makes a runner in `tmp_path`; keywords replace settings."""

    def make(**changes: Any) -> Runner:
        return Runner(**Parts.settings(changes.pop("work_dir", tmp_path / "run"), **changes))

    return make


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.lines.append(record.getMessage())

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def heard():
    """What loggers of eng say, whatever handlers a run's own logger has: ``heard(logger)`` adds another one."""
    records = Records()
    listened: list[tuple[logging.Logger, int]] = []

    def listen(logger: logging.Logger) -> Records:
        listened.append((logger, logger.level))
        logger.addHandler(records)
        logger.setLevel(logging.INFO)
        return records

    listen(logging.getLogger("eng"))
    records.listen = listen  # type: ignore[attr-defined]
    yield records
    for logger, level in listened:
        logger.removeHandler(records)
        logger.setLevel(level)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of an importable library that publishes two models; one brings weights, of scale 2."""
    folder = tmp_path / LIBRARY
    (folder / "configs" / "affine").mkdir(parents=True)
    (folder / "affine").mkdir()
    (folder / "__init__.py").touch()
    (folder / "registry.py").write_text(REGISTRY.format(library=LIBRARY))
    (folder / "models.py").write_text(MODELS)
    (folder / "model-index.yml").write_text(INDEX)
    (folder / "affine" / "metafile.yml").write_text(METAFILE.format(weights=folder / "double.pth"))
    for name in ("double", "plain"):
        (folder / "configs" / "affine" / f"{name}.py").write_text(
            f'default_scope = "{LIBRARY}"\nmodel = dict(type="LibraryAffine")\n'
        )
    torch.save({"state_dict": {"weight": torch.tensor(2.0)}, "meta": {}}, folder / "double.pth")
    monkeypatch.syspath_prepend(tmp_path)
    with eng.registry.MODELS.isolated():
        yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == LIBRARY]:
        del sys.modules[name]
