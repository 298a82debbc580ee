"""Classes of other packages that a registry offers without importing those packages."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class InstalledClass:
    """A class of an installed package, which is imported when the class is built or asked for its arguments.

    Give it to :meth:`Registry.register_fallback` for a package whose import is slow.

    Attributes:
        module: name of the module that holds the class.
        name: name of the class there.

    Example:
        >>> InstalledClass("fractions", "Fraction")(1, 2)
        Fraction(1, 2)
    """

    module: str
    name: str

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.resolve())

    def resolve(self) -> Callable[..., Any]:
        """The class itself.

        Raises:
            ImportError: the module cannot be imported.
            AttributeError: the module has no such class.
        """
        cls: Callable[..., Any] = getattr(import_module(self.module), self.name)
        return cls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """An instance of the class."""
        return self.resolve()(*args, **kwargs)
