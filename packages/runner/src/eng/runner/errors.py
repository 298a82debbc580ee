"""What can be wrong with a run's settings, and how a run ends early.

The first argument alone is the whole message: pickle, copy and torch's loader workers rebuild an error from its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eng.checkpoint import LoadReport


class SettingsError(ValueError):
    """Settings of a Runner that do not fit together."""


class LoopChoiceError(SettingsError, RuntimeError):
    """``train_cfg`` names both ``type`` and ``by_epoch``, each of which chooses the loop."""


class MissingPartError(SettingsError, RuntimeError):
    """A part that ``train()``, ``val()`` or ``test()`` needs was never given.

    Attributes:
        missing: names of the arguments that are missing.
    """

    def __init__(self, action: str, missing: Sequence[str] = ()) -> None:
        self.missing = list(missing)
        super().__init__(
            f"{action} needs {_listed(self.missing)}, which should not be None in the Runner" if missing else action
        )


class IncompleteSettingsError(SettingsError):
    """Some of the settings that belong together are given and others are not.

    Attributes:
        given: names of the arguments that are there.
        missing: names of the arguments that are not.
    """

    def __init__(self, given: list[str] | str, missing: Sequence[str] = ()) -> None:
        self.missing = list(missing)
        if isinstance(given, str):
            self.given: list[str] = []
            super().__init__(given)
            return
        self.given = given
        verb = "is" if len(given) == 1 else "are"
        super().__init__(
            f"{_listed(given)} {verb} given without {_listed(self.missing)}: they should be either all None or not None"
        )


class MixedVersionsError(RuntimeError):
    """The ranks of a run have different software.

    Attributes:
        versions: what differs, with the version of each rank in their order.
    """

    def __init__(self, versions: dict[str, list[str]] | str) -> None:
        self.versions = {} if isinstance(versions, str) else versions
        differences = "; ".join(f"{name} {_by_rank(of_ranks)}" for name, of_ranks in self.versions.items())
        super().__init__(
            versions
            if isinstance(versions, str)
            else f"the ranks have different versions: {differences}. Install the same on all machines"
        )


class ModelContractError(TypeError):
    """The model lacks a method that the loop calls."""


class ResumeError(ValueError):
    """A checkpoint cannot be resumed from; the message says why and what to do."""


class WrongCheckpointError(RuntimeError):
    """Under half of the parameters of a checkpoint match the model's: it is the checkpoint of another model.

    Attributes:
        checkpoint: its path.
        report: what matched and what did not, an :class:`eng.checkpoint.LoadReport`.
    """

    def __init__(self, checkpoint: str, report: LoadReport | None = None) -> None:
        self.checkpoint, self.report = checkpoint, report
        super().__init__(
            checkpoint
            if report is None
            else f"load_from={checkpoint!r} is not the checkpoint of this model: {report.share:.1%} of the model's parameters "
            f"are in it, under names and shapes such as {_first(report.missing or report.wrong_shape)}; it holds "
            f"{_first(report.unexpected or report.wrong_shape)}. Choose another checkpoint, or load it all the same with "
            "allow_partial=True in the config (--allow-partial)"
        )


class NonFiniteLossError(ArithmeticError):
    """A loss became NaN or infinite and ``nan_policy`` is ``"stop"``.

    Attributes:
        iteration: the first iteration (counted from 0) with such a loss; -1 where only the message is known.
        losses: the names of the losses.
    """

    def __init__(self, iteration: int | str, losses: Sequence[str] = ()) -> None:
        self.iteration = -1 if isinstance(iteration, str) else iteration
        self.losses = list(losses)
        super().__init__(
            iteration
            if isinstance(iteration, str)
            else f"iteration {iteration + 1} gave a non-finite {_listed(self.losses)}"
        )


class LossSpikeError(NonFiniteLossError):
    """A loss jumped and ``loss_spike``'s action is ``"stop"``, or ``"rollback"`` where there is nothing to go back to.

    Attributes:
        iteration: the iteration (counted from 0) of the first such loss; -1 where only the message is known.
        loss: its value.
        median: of the losses before.
    """

    def __init__(self, iteration: int | str, loss: float = 0.0, median: float = 0.0) -> None:
        super().__init__(
            iteration
            if isinstance(iteration, str)
            else f"iteration {iteration + 1} gave a loss of {loss:.4g}, {loss / median:.1f} times the median before"
        )
        self.iteration = -1 if isinstance(iteration, str) else iteration
        self.loss, self.median = loss, median


class RunInterrupted(SystemExit):
    """A signal or the time budget ended the run after its state was saved.

    As a SystemExit it ends the process with ``code``: 143 for SIGTERM, 138 for SIGUSR1, 130 for SIGINT, 75 for the
    time budget.

    Attributes:
        reason: such as ``"SIGTERM"`` or ``"time budget"``.
        checkpoint: file that the run goes on from; None outside training.
        position: where the run stopped, in words.
    """

    def __init__(self, reason: str, code: int = 1, checkpoint: str | None = None, position: str | None = None) -> None:
        self.reason, self.checkpoint, self.position = reason, checkpoint, position
        super().__init__(code)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.code), self.__dict__

    def __str__(self) -> str:
        if self.position is None:
            return self.reason
        kept = f"; its state is in {self.checkpoint}" if self.checkpoint else ""
        return f"stopped by {self.reason} at {self.position}{kept}"


def _first(names: Iterable[str]) -> str:
    return next((repr(name) for name in names), "nothing else")


def _listed(names: list[Any]) -> str:
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _by_rank(versions: list[str]) -> str:
    ranks = {version: [str(i) for i, other in enumerate(versions) if other == version] for version in versions}
    return ", ".join(f"{version} on rank {', '.join(numbers)}" for version, numbers in ranks.items())
