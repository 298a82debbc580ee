"""Errors with which a hook ends a run early.

Each error can be created from its message alone, because pickle, copy and torch's loader workers rebuild errors that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class NonFiniteLossError(ArithmeticError):
    """A loss is NaN or infinite and ``nan_policy`` is ``"stop"``, or ``"rollback"`` without a checkpoint to return to.

    Attributes:
        iteration: the first iteration (counted from 0) with a non-finite loss; -1 if the error was created from its
            message.
        losses: the names of the losses that are not finite.
    """

    def __init__(self, iteration: int | str, losses: Sequence[str] = ()) -> None:
        self.iteration = _number(iteration)
        self.losses = list(losses)
        message = iteration
        if not isinstance(message, str):
            message = f"iteration {message + 1} gave a non-finite {listed(self.losses)}"
        super().__init__(message)


class LossSpikeError(NonFiniteLossError):
    """A loss jumped and ``loss_spike``'s action is ``"stop"``, or ``"rollback"`` without a checkpoint to return to.

    Attributes:
        iteration: the first iteration (counted from 0) with a jump; -1 if the error was created from its message.
        loss: value of the loss in this iteration.
        median: median of the losses in the iterations before.
    """

    def __init__(self, iteration: int | str, loss: float = 0.0, median: float = 0.0) -> None:
        message = iteration
        if not isinstance(message, str):
            message = f"iteration {message + 1} gave a loss of {loss:.4g}, {loss / median:.1f} times the median before"
        super().__init__(message)
        self.iteration = _number(iteration)
        self.loss, self.median = loss, median


class RunInterrupted(SystemExit):
    """A signal or the time budget ended the run after its state was saved.

    The error is a SystemExit, which ends the process with exit status ``code``: 143 for SIGTERM, 138 for SIGUSR1, 130 for
    SIGINT, 75 for the time budget.

    Attributes:
        reason: cause of the stop, such as ``"SIGTERM"`` or ``"time budget"``.
        checkpoint: file from which the run can resume; None outside training.
        position: epoch and iteration at which the run stopped, or the validation in which it stopped, as text.
        iterations: number of completed training iterations; None if the error was created from its reason alone.
    """

    def __init__(
        self,
        reason: str,
        code: int = 1,
        checkpoint: str | None = None,
        position: str | None = None,
        iterations: int | None = None,
    ) -> None:
        self.reason, self.checkpoint, self.position, self.iterations = reason, checkpoint, position, iterations
        super().__init__(code)

    @property
    def location(self) -> str:
        """The position with a preposition: ``at epoch 3, iteration 40`` or ``in the validation after ...``."""
        preposition = "at"
        if str(self.position).startswith("the "):
            preposition = "in"
        return f"{preposition} {self.position}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.code), self.__dict__

    def __str__(self) -> str:
        if self.position is None:
            return self.reason
        where = ""
        if self.checkpoint:
            where = f"; its state is in {self.checkpoint}"
        return f"stopped by {self.reason} {self.location}{where}"


def _number(iteration: int | str) -> int:
    """Returns ``iteration`` if it is a number; -1 if it is a text.

    When pickle or a dataloader worker rebuilds an error, the constructor gets the error's message in place of the
    iteration, which is then unknown.
    """
    if isinstance(iteration, str):
        return -1
    return iteration


def listed(names: Sequence[object]) -> str:
    """Joins names for a sentence: ``a, b and c``."""
    texts = [str(name) for name in names]
    if len(texts) == 1:
        return texts[0]
    return ", ".join(texts[:-1]) + " and " + texts[-1]
