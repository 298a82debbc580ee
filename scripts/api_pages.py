"""griffe extensions for the API pages.

Roles such as ``:class:`~eng.runner.Runner``` are links, errors come last, and names say since when they exist and how long.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from griffe import Class, Docstring, Extension, Function, Module, Object

PACKAGES = Path(__file__).parents[1] / "packages"
FIRST_RELEASE = "1.0.0"
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


class Versions(Extension):
    """Says at each name which version brought it, where the first release lacked it, and when it is to go.

    The first comes from ``packages/NAME/added.txt``, the second from ``typing_extensions.deprecated``.
    """

    def __init__(self, packages: Path = PACKAGES) -> None:
        lines = [line.split() for path in packages.glob("*/added.txt") for line in path.read_text("utf-8").splitlines()]
        since = {name: version for version, name in lines}
        # A member that came with its class needs no mark.
        self.public = {
            name: version
            for name, version in since.items()
            if version not in (FIRST_RELEASE, since.get(name.rpartition(".")[0]))
        }
        self.defined: dict[str, str] = {}

    def on_module(self, *, mod: Module, **_: Any) -> None:
        """Learns where the public names of a module are defined; modules come before what they hold."""
        origins = {name: member.target_path if member.is_alias else member.path for name, member in mod.members.items()}
        for public, version in self.public.items():
            if not public.startswith(f"{mod.path}."):
                continue
            name, dot, attribute = public.removeprefix(f"{mod.path}.").partition(".")
            if name in origins and "." not in attribute:
                self.defined[f"{origins[name]}{dot}{attribute}"] = version

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Adds the marks below the docstring."""
        marks = []
        if obj.path in self.defined:
            version = self.defined[obj.path]
            marks.append("*New in the next version.*" if version == "next" else f"*New in version {version}.*")
        if (message := deprecation(obj)) is not None:
            marks.append(f"**{message[0].upper()}{message[1:]}**")
        if marks:
            text = obj.docstring.value if obj.docstring is not None else ""
            # Below the summary: sections such as Args would swallow a paragraph at the end.
            summary, gap, details = text.partition("\n\n")
            value = "\n\n".join([part for part in (summary, *marks) if part]) + gap + details
            obj.docstring = Docstring(value, parent=obj)


def deprecation(obj: Object) -> str | None:
    """What the decorator ``deprecated`` of a class or function says; None without one."""
    if not isinstance(obj, (Class, Function)):
        return None
    for decorator in obj.decorators:
        call = ast.parse(str(decorator.value), mode="eval").body
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("deprecated") and call.args:
            return str(ast.literal_eval(call.args[0]))
    return None
