"""A griffe extension: roles such as ``:class:`~eng.runner.Runner``` in docstrings become links of the API pages."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

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
