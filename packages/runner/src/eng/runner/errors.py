"""Errors of a run: wrong settings, and failures in building, resuming and training.

Each class can be built from its message alone, because pickle, copy and torch's worker processes rebuild exceptions by
calling the class with the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from eng.hooks.errors import LossSpikeError, NonFiniteLossError, RunInterrupted, listed

if TYPE_CHECKING:
    from eng.checkpoint import LoadReport

__all__ = [
    "IncompleteSettingsError",
    "LoopChoiceError",
    "LossSpikeError",
    "MissingPartError",
    "MixedVersionsError",
    "ModelContractError",
    "NonFiniteLossError",
    "ResumeError",
    "RunInterrupted",
    "SettingsError",
    "WrongCheckpointError",
]


class SettingsError(ValueError):
    """Settings of a Runner that do not fit together."""


class LoopChoiceError(SettingsError, RuntimeError):
    """``train_cfg`` names both ``type`` and ``by_epoch``, each of which chooses the loop."""


_ADVICE = {
    "test()": "; to test on the validation set write test_dataloader=val_dataloader, test_cfg=dict() and "
    "test_evaluator=val_evaluator, or run val() (eng val)",
    "val()": "; write val_dataloader=dict(...), val_cfg=dict() and val_evaluator=...",
}


class MissingPartError(SettingsError, RuntimeError):
    """A setting that ``train()``, ``val()`` or ``test()`` needs is None.

    Attributes:
        missing: names of the arguments that are missing.
    """

    def __init__(self, action: str, missing: Sequence[str] = ()) -> None:
        self.missing = list(missing)
        if missing:
            action = f"{action} needs {listed(self.missing)}, which should not be None in the Runner{_ADVICE.get(action, '')}"
        super().__init__(action)


class IncompleteSettingsError(SettingsError):
    """Of several settings that belong together, some are set and others are None.

    Attributes:
        given: names of the arguments that are set.
        missing: names of the arguments that are None.
    """

    def __init__(self, present: list[str] | str, missing: Sequence[str] = ()) -> None:
        self.missing = list(missing)
        if isinstance(present, str):
            self.given: list[str] = []
            super().__init__(present)
            return
        self.given = present
        verb = "are"
        if len(present) == 1:
            verb = "is"
        super().__init__(
            f"{listed(present)} {verb} given without {listed(self.missing)}: they should be either all None or not None"
        )


class MixedVersionsError(RuntimeError):
    """The ranks of a run have different versions of Python, torch or eng.

    Attributes:
        versions: by the name of the software, the version on each rank.
    """

    def __init__(self, versions: dict[str, list[str]] | str) -> None:
        if isinstance(versions, str):
            self.versions: dict[str, list[str]] = {}
            super().__init__(versions)
            return
        self.versions = versions
        differences = "; ".join(f"{name} {_by_rank(of_ranks)}" for name, of_ranks in versions.items())
        super().__init__(f"the ranks have different versions: {differences}. Install the same on all machines")


class ModelContractError(TypeError):
    """The model lacks a method that the loop calls."""


class ResumeError(ValueError):
    """A run cannot resume from a checkpoint; the message says why and what to do."""


class WrongCheckpointError(RuntimeError):
    """Less than half of a checkpoint's parameters match the model, so it is the checkpoint of another model.

    Attributes:
        checkpoint: path of the checkpoint.
        report: the :class:`eng.checkpoint.LoadReport` on matching and missing parameters.
    """

    def __init__(self, checkpoint: str, report: LoadReport | None = None) -> None:
        self.checkpoint, self.report = checkpoint, report
        if report is None:
            super().__init__(checkpoint)
            return
        super().__init__(
            f"load_from={checkpoint!r} is not the checkpoint of this model: {report.share:.1%} of the model's parameters "
            f"are in it, under names and shapes such as {_first(report.missing or report.wrong_shape)}; it holds "
            f"{_first(report.unexpected or report.wrong_shape)}. Choose another checkpoint, or load it all the same with "
            "allow_partial=True in the config (--allow-partial)"
        )


def _first(names: Iterable[str]) -> str:
    return next((repr(name) for name in names), "nothing else")


def _by_rank(versions: list[str]) -> str:
    ranks = {version: [str(i) for i, entry in enumerate(versions) if entry == version] for version in versions}
    return ", ".join(f"{version} on rank {', '.join(numbers)}" for version, numbers in ranks.items())
