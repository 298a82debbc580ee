"""The alias in programs that this process starts.

``path_entry/`` holds a package ``mmengine`` that installs the alias when it is imported, and the metadata of the
version that it stands for. On PYTHONPATH the folder reaches every Python that a script, torchrun or a shell starts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent / "path_entry")
_VARIABLE = "PYTHONPATH"


def add() -> None:
    """Programs that are started from now on have the alias, and `importlib.metadata` knows mmengine."""
    os.environ[_VARIABLE] = os.pathsep.join([FOLDER, *_other_entries()])
    if FOLDER not in sys.path:
        sys.path.insert(1, FOLDER)  # in front of installed packages, behind the folder of the script


def remove() -> None:
    """Programs that are started from now on start without it."""
    others = _other_entries()
    if others:
        os.environ[_VARIABLE] = os.pathsep.join(others)
    else:
        os.environ.pop(_VARIABLE, None)
    sys.path[:] = [entry for entry in sys.path if entry != FOLDER]


def _other_entries() -> list[str]:
    """An empty entry is the working directory; an empty variable has no entries."""
    variable = os.environ.get(_VARIABLE)
    return [entry for entry in variable.split(os.pathsep) if entry != FOLDER] if variable else []
