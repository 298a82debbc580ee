"""A library that publishes two models."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import eng.registry

LIBRARY = "tinylib_of_hub_tests"

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


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
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
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == LIBRARY]:
        del sys.modules[name]
    eng.registry.MODELS._children.pop(LIBRARY, None)
