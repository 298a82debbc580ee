"""What holds in the environment that nox makes for this package alone."""

from __future__ import annotations

import importlib
import os

import pytest


@pytest.mark.skipif("ENG_ISOLATED" not in os.environ, reason="nox -s tests makes the environment and says so")
def test_there_is_no_torch() -> None:
    with pytest.raises(ModuleNotFoundError, match="torch"):
        importlib.import_module("torch")
