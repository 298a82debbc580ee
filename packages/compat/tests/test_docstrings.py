from __future__ import annotations

import doctest
import importlib

import pytest

MODULES = ["eng.compat._alias", "eng.compat._routes", "eng.compat.version", "eng.compat.utils.misc", "eng.compat.utils.timer",
           "eng.compat.utils.version_utils", "eng.compat.utils.package_utils"]  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_public_names() -> None:
    import eng.compat

    assert sorted(eng.compat.__all__) == [
        "AlreadyImportedError", "__version__", "alias", "install", "is_installed", "reset_global_state", "uninstall",
    ]  # fmt: skip
