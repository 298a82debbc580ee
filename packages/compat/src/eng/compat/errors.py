from __future__ import annotations


class UsageError(ValueError, AssertionError):
    """An argument has a value that the function cannot use. MMEngine asserts; code written for it catches either."""


class UsageTypeError(TypeError, AssertionError):
    """An argument has a type that the function cannot use. MMEngine asserts; code written for it catches either."""


class AlreadyImportedError(ImportError):
    """The real mmengine was imported before the alias was installed.

    Attributes:
        file: where the imported package lies.
    """

    def __init__(self, message: str, *, file: str = "") -> None:
        super().__init__(message)
        self.file = file

    @classmethod
    def of(cls, file: str) -> AlreadyImportedError:
        """The error for a package that was imported from `file`."""
        return cls(
            f"mmengine was imported already, from {file}: classes of two engines would mix. "
            "Call eng.compat.install() before anything imports mmengine, or run the script by "
            "`python -m eng.compat SCRIPT.py`.",
            file=file,
        )
