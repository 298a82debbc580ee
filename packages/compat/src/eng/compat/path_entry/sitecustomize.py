"""Python runs this file at its start. It prepares the alias, then runs the ``sitecustomize`` that it hides."""

import sys

if sys.version_info >= (3, 8):  # noqa: UP036  # a script may start an older Python, which lacks the syntax used
    import _eng_compat_start  # type: ignore[import-not-found]  # the module is in the same folder

    _eng_compat_start.install_at_first_import()
    _eng_compat_start.run_hidden_sitecustomize()
