"""`InstalledClass`, which registers a class of another package without importing that package."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class InstalledClass:
    """Stand-in for a class of an installed package, which is imported only when the class is built or inspected.

    Pass it to :meth:`Registry.register_fallback` if importing the package is slow.

    Attributes:
        module: name of the module that defines the class.
        name: name of the class in that module.

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
        """Imports the module and returns the class.

        Raises:
            ImportError: the module cannot be imported.
            AttributeError: the module has no such class.
        """
        cls: Callable[..., Any] = getattr(import_module(self.module), self.name)
        return cls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Imports the class and returns an instance of it."""
        return self.resolve()(*args, **kwargs)
