from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import eng.device

MODULES = [
    f"{package.__name__}.{each.name}"
    for package in (eng.dist, eng.device)
    for each in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
