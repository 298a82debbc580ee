from __future__ import annotations

import pytest
from torch import nn

from eng.runner.module_patterns import modules_by_pattern


def block() -> nn.Sequential:
    return nn.Sequential(nn.Linear(1, 1), nn.ReLU())


MODEL = nn.ModuleDict({"stem": block(), "layers": nn.ModuleList([block(), block()]), "head": nn.Linear(1, 1)})


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("stem", ["stem"]), (["layers.*"], ["layers.0", "layers.1"]), ("layers", ["layers.0", "layers.1"]),
        (["layers.1.0", "head"], ["layers.1.0", "head"]), (["head", "stem", "stem.0"], ["stem", "head"]),
        ("*.0", ["stem.0", "layers.0", "layers.1.0"]), ("*", ["stem", "layers.0", "layers.1", "head"]), ("layers.[1]", ["layers.1"]),
    ],
    ids=str,
)  # fmt: skip
def test_outermost_modules_that_have_a_forward(patterns: list[str] | str, names: list[str]) -> None:
    assert list(modules_by_pattern(MODEL, patterns, "regions")) == names


def test_unknown_names_are_refused_with_near_ones() -> None:
    with pytest.raises(ValueError, match=r"regions names 'layer\.\*', which ModuleDict lacks; did you mean 'layers"):
        modules_by_pattern(MODEL, ["head", "layer.*"], "regions")
