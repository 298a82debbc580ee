"""Installs the alias in worker processes of `multiprocessing`.

A forked process inherits the alias. A spawned process starts without it and imports the main module of its parent,
which may import mmengine. Before that, it unpickles the "preparation data" from its parent; an object in these data
installs the alias when it is unpickled.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import spawn
from typing import Any


class _InstallOnArrival:
    """An object that is sent to a new process and calls the function ``install`` there when it is unpickled."""

    def __init__(self, install: Callable[[], None]) -> None:
        self.install = install

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return self.install, ()


class _PreparationData:
    """Replacement of `multiprocessing.spawn.get_preparation_data`, which returns the data sent to a spawned process.

    An `_InstallOnArrival` is added to the data, so that ``import mmengine`` imports eng in the spawned process, too.
    """

    def __init__(self, original: Callable[[str], dict[str, Any]], install: Callable[[], None]) -> None:
        self.original = original
        self.install = install

    def __call__(self, name: str) -> dict[str, Any]:
        return {**self.original(name), "eng_compat": _InstallOnArrival(self.install)}


def install_in_children(install: Callable[[], None]) -> None:
    """Makes processes that are spawned later call ``install`` before they import the main module."""
    if not isinstance(spawn.get_preparation_data, _PreparationData):
        _replace(_PreparationData(spawn.get_preparation_data, install))


def leave_children_alone() -> None:
    """Undoes `install_in_children`: in processes that are spawned later, ``import mmengine`` does not import eng."""
    if isinstance(spawn.get_preparation_data, _PreparationData):
        _replace(spawn.get_preparation_data.original)


def _replace(function: Callable[[str], dict[str, Any]]) -> None:
    vars(spawn)["get_preparation_data"] = function
