"""Exceptions of checkpoints.

Each class can be constructed from its message alone, because pickle, copy and torch's worker processes rebuild an
exception from its message.
"""

from __future__ import annotations

from ._text import visible

__all__ = ["BrokenCheckpointError", "CheckpointWriteError", "StateMismatchError", "UntrustedCheckpointError"]


class BrokenCheckpointError(ValueError):
    """A checkpoint file is cut short or damaged, or the file is no checkpoint at all.

    Attributes:
        filename: name of the file.
        reason: what is wrong with the file.
    """

    def __init__(self, filename: str, reason: str | None = None) -> None:
        message = filename
        if reason is not None:
            message = f"{visible(filename)} is not a whole checkpoint: {visible(reason)}"
        super().__init__(message)
        self.filename = filename
        self.reason = reason


class UntrustedCheckpointError(ValueError):
    """Loading a file would call code that is not known to be harmless, which is refused without ``trust=True``.

    Attributes:
        filename: name of the file.
        culprit: the class or function that the file would call, as ``module.name``; None if unknown.
    """

    def __init__(self, filename: str, culprit: str | None = None) -> None:
        message = filename
        if culprit is not None:
            message = (
                f"{visible(filename)} is refused: unpickling it would call {visible(culprit)}, which is not on the list "
                "of harmless types. If you know who wrote the file and trust them, load it with trust=True; that runs "
                "whatever code is in it"
            )
        super().__init__(message)
        self.filename = filename
        self.culprit = culprit


class CheckpointWriteError(OSError):
    """A checkpoint could not be written; no partial file was left.

    Attributes:
        path: path of the checkpoint.
    """

    def __init__(self, path: str, reason: str | None = None) -> None:
        message = path
        if reason is not None:
            message = f"the checkpoint {path} was not written: {reason}"
        super().__init__(message)
        self.path = path


class StateMismatchError(RuntimeError):
    """With ``strict=True``, keys or shapes of the weights do not match the model.

    Attributes:
        report: the :class:`LoadReport` with the keys that match, are missing, are unexpected or differ in shape.
    """

    def __init__(self, report: object) -> None:
        message = report
        if not isinstance(report, str):
            message = f"the weights do not fit the model (strict=True):\n{report}"
        super().__init__(message)
        self.report = report
