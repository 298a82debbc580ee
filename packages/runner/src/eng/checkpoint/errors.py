"""What can go wrong with a checkpoint.

The first argument alone is the whole message: pickle, copy and torch's loader workers rebuild an error from its text.
"""

from __future__ import annotations

from ._text import visible

__all__ = ["BrokenCheckpointError", "CheckpointWriteError", "StateMismatchError", "UntrustedCheckpointError"]


class BrokenCheckpointError(ValueError):
    """A file is no checkpoint, or is cut short or damaged.

    Attributes:
        filename: of the file.
        reason: what is wrong with it.
    """

    def __init__(self, filename: str, reason: str | None = None) -> None:
        super().__init__(
            filename if reason is None else f"{visible(filename)} is not a whole checkpoint: {visible(reason)}"
        )
        self.filename = filename
        self.reason = reason


class UntrustedCheckpointError(ValueError):
    """A file holds objects that only arbitrary code can build, which loading refuses to run.

    Attributes:
        filename: of the file.
        culprit: what it wants to call, as ``module.name``, where that is known.
    """

    def __init__(self, filename: str, culprit: str | None = None) -> None:
        super().__init__(
            filename
            if culprit is None
            else f"{visible(filename)} is refused: unpickling it would call {visible(culprit)}, which is not on the list of harmless types. "
            "If you know who wrote the file and trust them, load it with trust=True; that runs whatever code is in it"
        )
        self.filename = filename
        self.culprit = culprit


class CheckpointWriteError(OSError):
    """A checkpoint could not be written; nothing was left behind under its name.

    Attributes:
        path: where it was to be.
    """

    def __init__(self, path: str, reason: str | None = None) -> None:
        super().__init__(path if reason is None else f"the checkpoint {path} was not written: {reason}")
        self.path = path


class StateMismatchError(RuntimeError):
    """Weights do not fit a model although ``strict=True`` asked for it.

    Attributes:
        report: what matched and what did not.
    """

    def __init__(self, report: object) -> None:
        is_message = isinstance(report, str)
        super().__init__(report if is_message else f"the weights do not fit the model (strict=True):\n{report}")
        self.report = report
