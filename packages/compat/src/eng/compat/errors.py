from __future__ import annotations


class UsageError(ValueError, AssertionError):
    """An argument has an invalid value. Also an AssertionError, which MMEngine raises in this case."""


class UsageTypeError(TypeError, AssertionError):
    """An argument has the wrong type. Also an AssertionError, which MMEngine raises in this case."""


class AlreadyImportedError(ImportError):
    """The alias cannot be installed, because the real mmengine has already been imported.

    Attributes:
        file: path of the imported package.
    """

    def __init__(self, message: str, *, file: str = "") -> None:
        super().__init__(message)
        self.file = file

    @classmethod
    def of(cls, file: str) -> AlreadyImportedError:
        """Creates the error for a package that was imported from `file`."""
        return cls(
            f"mmengine was imported already, from {file}: classes of two engines would mix. "
            "Call eng.compat.install() before anything imports mmengine, or run the script by "
            "`python -m eng.compat SCRIPT.py`.",
            file=file,
        )
