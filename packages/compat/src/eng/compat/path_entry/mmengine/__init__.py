"""Stands for mmengine where ``sitecustomize`` of this folder has not run: ``python -S``, or another one hid it.

Here threads that import mmengine for the first time at once may see this module; `_eng_compat_start` spares them that.
"""

import importlib
import importlib.util
import sys

from _eng_compat_start import has_eng_compat, leave_path  # type: ignore[import-not-found]  # on the path with this package


def _replace_by_installed_package() -> None:
    leave_path()
    spec = importlib.util.find_spec(__name__)  # asks the finders of editable packages, too
    if spec is None or spec.loader is None:
        message = f"No module named {__name__!r}: {sys.executable} has neither eng-compat nor mmengine"
        raise ModuleNotFoundError(message, name=__name__)
    module = sys.modules[__name__] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


del sys.modules[__name__]
if has_eng_compat():
    importlib.import_module("eng.compat").install()
    importlib.import_module(__name__)
else:
    _replace_by_installed_package()
