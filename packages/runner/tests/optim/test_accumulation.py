from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import eng.optim

MODULES = sorted(m.name for m in pkgutil.walk_packages(eng.optim.__path__, "eng.optim."))


@pytest.mark.parametrize("module", ["eng.optim", *MODULES])
def test_examples_run(module):
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
