from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import eng.structures

MODULES = ["eng.structures", *(f"eng.structures.{each.name}" for each in pkgutil.iter_modules(eng.structures.__path__))]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    flags = doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS
    assert doctest.testmod(importlib.import_module(name), optionflags=flags).failed == 0
