"""Starts the alias at the first ``import mmengine`` of a process that inherited this folder on PYTHONPATH.

A Python that lacks eng (another environment, started by a script) gets the mmengine that is installed there.
"""

import importlib
import importlib.util
import sys
from pathlib import Path


def _replace_by_alias() -> None:
    del sys.modules[__name__]
    importlib.import_module("eng.compat").install()
    importlib.import_module(__name__)


def _replace_by_installed_package() -> None:
    folder = str(Path(__file__).parent.parent)
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    del sys.modules[__name__]
    spec = importlib.util.find_spec(__name__)  # asks the finders of editable packages, too
    if spec is None or spec.loader is None:
        message = f"No module named {__name__!r}: {sys.executable} has neither eng-compat nor mmengine"
        raise ModuleNotFoundError(message, name=__name__)
    module = sys.modules[__name__] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _has_eng_compat() -> bool:
    try:
        return importlib.util.find_spec("eng.compat") is not None
    except ModuleNotFoundError:
        return False


if _has_eng_compat():
    _replace_by_alias()
else:
    _replace_by_installed_package()
