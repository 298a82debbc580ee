"""Python runs this file when it starts, in front of the sitecustomize that it would run without the alias."""

import sys

if sys.version_info >= (3, 8):  # noqa: UP036  # an older one that a script starts may not even read the syntax
    import _eng_compat_start  # type: ignore[import-not-found]  # it lies beside this file

    _eng_compat_start.install_at_first_import()
    _eng_compat_start.run_hidden_sitecustomize()
