"""Replaces mmengine if the ``sitecustomize`` of this folder has not run (``python -S``, or another one hides it).

If several threads import mmengine for the first time at once, some may get this module instead of that of the alias.
`_eng_compat_start` does not have this problem.
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
