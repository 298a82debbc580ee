"""The alias in worker processes.

A forked child inherits it. A spawned one starts empty, and imports the parent's main module before anything of ours
could run. Its parent sends it "preparation data" first; an object in there that installs the alias while it is unpickled
is early enough.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import spawn
from typing import Any


class _InstallOnArrival:
    """Unpickles by calling ``install``, a function that can be pickled."""

    def __init__(self, install: Callable[[], None]) -> None:
        self.install = install

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return self.install, ()


class _PreparationData:
    """`multiprocessing.spawn.get_preparation_data`, with an installer in what it gives."""

    def __init__(self, original: Callable[[str], dict[str, Any]], install: Callable[[], None]) -> None:
        self.original = original
        self.install = install

    def __call__(self, name: str) -> dict[str, Any]:
        return {**self.original(name), "eng_compat": _InstallOnArrival(self.install)}


def install_in_children(install: Callable[[], None]) -> None:
    """Children that are spawned from now on call ``install`` before they import anything of the program."""
    if not isinstance(spawn.get_preparation_data, _PreparationData):
        _replace(_PreparationData(spawn.get_preparation_data, install))


def leave_children_alone() -> None:
    """Children that are spawned from now on start without it."""
    if isinstance(spawn.get_preparation_data, _PreparationData):
        _replace(spawn.get_preparation_data.original)


def _replace(function: Callable[[str], dict[str, Any]]) -> None:
    vars(spawn)["get_preparation_data"] = function
