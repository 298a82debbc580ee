"""griffe extensions for the API pages: roles such as ``:class:`~eng.runner.Runner``` are links, errors come last."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Module, Object

ROLE = re.compile(r":(?:class|func|meth|mod|attr|exc|data):`(~?)([\w.]+)(?:\(\))?`")


class DocstringRoles(Extension):
    """Rewrites the docstring of each object before it is rendered."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Links every name that an API page shows; the others become code."""
        if obj.docstring is not None:
            obj.docstring.value = ROLE.sub(link, obj.docstring.value)


def link(match: re.Match[str]) -> str:
    """The link of one role; a leading ``~`` shows the last part of the name only, as in Sphinx."""
    is_short, name = match.groups()
    text = name.rpartition(".")[2] if is_short else name
    # Optional: a name that no API page shows stays plain code.
    return f'<autoref identifier="{name}" optional><code>{text}</code></autoref>'


class ErrorsLast(Extension):
    """Shows the errors of a module after everything else, so that a page begins with what the module is for."""

    def on_module(self, *, mod: Module, **_: Any) -> None:
        """Sorts the names in ``__all__``, which the pages follow; otherwise their order is kept."""
        if mod.exports is not None:
            mod.exports.sort(key=lambda name: str(name).endswith(("Error", "Warning")))
