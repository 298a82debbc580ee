"""griffe extension: a constructor with the decorator ``takes_fields_of`` has the fields of a dataclass as parameters.

The API pages and the snapshots of the public interface read the source and never run it, so that they do not see the
signature that the decorator of :mod:`eng.runner.spec` makes.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Attribute, Class, Extension, Function, Module, Object, Parameter, ParameterKind, Parameters

FACTORY = re.compile(r"field\(default_factory=lambda: (?P<value>.+)\)")
DECORATOR = re.compile(r"takes_fields_of\((?P<settings>\w+)\)")


class FieldSignatures(Extension):
    """Replaces the parameters of decorated constructors when a package has been read."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Goes through the classes of a package."""
        for constructor, settings in decorated_constructors(pkg):
            constructor.parameters = Parameters(constructor.parameters["self"], *field_parameters(settings))


def decorated_constructors(item: Object) -> list[tuple[Function, Class]]:
    """The decorated constructors of a module and its submodules, each with the dataclass that its decorator names."""
    found = []
    for member in item.members.values():
        if member.is_alias:
            continue
        if isinstance(member, Function) and (settings := settings_of(member)) is not None:
            found.append((member, settings))
        elif isinstance(member, (Module, Class)):
            found += decorated_constructors(member)
    return found


def settings_of(function: Function) -> Class | None:
    """The dataclass that the decorator of a function names; None without the decorator."""
    for decorator in function.decorators:
        match = DECORATOR.fullmatch(str(decorator.value))
        if match is not None:
            return function.modules_collection[function.resolve(match["settings"])]
    return None


def field_parameters(settings: Class) -> list[Parameter]:
    """A parameter for each field of a dataclass, in their order."""
    fields = [member for member in settings.attributes.values() if member.annotation is not None]
    kind = ParameterKind.positional_or_keyword
    return [Parameter(each.name, annotation=each.annotation, default=default_of(each), kind=kind) for each in fields]


def default_of(field: Attribute) -> str | None:
    """The source of a field's default; that of the value in ``field(default_factory=lambda: VALUE)``."""
    if field.value is None:
        return None
    source = str(field.value)
    match = FACTORY.fullmatch(source)
    return match["value"] if match else source
