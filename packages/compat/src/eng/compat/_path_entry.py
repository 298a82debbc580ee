"""Makes the alias work in Python processes that this process starts.

The folder ``path_entry/`` contains a package ``mmengine`` that installs the alias when it is imported, and package
metadata of MMEngine. It is added to PYTHONPATH, which every Python process inherits that a script, torchrun or a shell
starts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent / "path_entry")
_VARIABLE = "PYTHONPATH"


def add() -> None:
    """Adds the folder ``path_entry`` of eng-compat to PYTHONPATH and to ``sys.path``.

    In child processes the folder makes ``import mmengine`` import eng, and `importlib.metadata` finds a distribution
    mmengine.
    """
    os.environ[_VARIABLE] = os.pathsep.join([FOLDER, *_other_entries()])
    if FOLDER not in sys.path:
        sys.path.insert(1, FOLDER)  # Behind the folder of the script (position 0), before installed packages.


def remove() -> None:
    """Removes the folder that `add` has added from PYTHONPATH and from ``sys.path``."""
    others = _other_entries()
    if others:
        os.environ[_VARIABLE] = os.pathsep.join(others)
    else:
        os.environ.pop(_VARIABLE, None)
    sys.path[:] = [entry for entry in sys.path if entry != FOLDER]


def _other_entries() -> list[str]:
    """Returns the entries of PYTHONPATH except the folder of eng-compat.

    Empty entries are kept, because an empty entry stands for the working directory.
    """
    variable = os.environ.get(_VARIABLE)
    return [entry for entry in variable.split(os.pathsep) if entry != FOLDER] if variable else []
