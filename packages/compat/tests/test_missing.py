from __future__ import annotations

import importlib

import pytest

from eng import compat


def test_a_name_that_is_not_there_names_the_nearest_and_the_page() -> None:
    compat.install()
    utils = importlib.import_module("mmengine.utils.path")
    with pytest.raises(
        AttributeError, match=r"no 'mkdir_or_exists'; did you mean mkdir_or_exist.*docs/differences\.md"
    ):
        _ = utils.mkdir_or_exists


@pytest.mark.parametrize("name", ["mmengine.nothing", "mmengine.utils.nothing", "mmengine.version.nothing"])
def test_a_module_that_is_not_there(name) -> None:
    compat.install()
    with pytest.raises(ModuleNotFoundError, match=name.rpartition(".")[2]):
        importlib.import_module(name)
