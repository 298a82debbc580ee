"""Stands for mmengine where ``sitecustomize`` of this folder has not run: ``python -S``, or another one hid it.

Here threads that import mmengine for the first time at once may see this module; `_eng_compat_start` spares them that.
"""

import importlib
import sys

from _eng_compat_start import install_at_first_import  # type: ignore[import-not-found]  # on the path with this package

del sys.modules[__name__]
install_at_first_import()
try:
    importlib.import_module(__name__)
except ModuleNotFoundError as error:
    if error.name != __name__:
        raise
    message = f"No module named {__name__!r}: {sys.executable} has neither eng-compat nor mmengine"
    raise ModuleNotFoundError(message, name=__name__) from None
