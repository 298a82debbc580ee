"""How a hook ends a run early.

The first argument alone is the whole message: pickle, copy and torch's loader workers rebuild an error from its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class NonFiniteLossError(ArithmeticError):
    """A loss became NaN or infinite and ``nan_policy`` is ``"stop"``.

    Attributes:
        iteration: the first iteration (counted from 0) with such a loss; -1 where only the message is known.
        losses: the names of the losses.
    """

    def __init__(self, iteration: int | str, losses: Sequence[str] = ()) -> None:
        self.iteration = _number(iteration)
        self.losses = list(losses)
        super().__init__(
            iteration
            if isinstance(iteration, str)
            else f"iteration {iteration + 1} gave a non-finite {listed(self.losses)}"
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
        self.iteration = _number(iteration)
        self.loss, self.median = loss, median


class RunInterrupted(SystemExit):
    """A signal or the time budget ended the run after its state was saved.

    As a SystemExit it ends the process with ``code``: 143 for SIGTERM, 138 for SIGUSR1, 130 for SIGINT, 75 for the
    time budget.

    Attributes:
        reason: such as ``"SIGTERM"`` or ``"time budget"``.
        checkpoint: file that the run goes on from; None outside training.
        position: where the run stopped, in words.
        iterations: number of iterations that were over; None where the error is rebuilt from its reason alone.
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
        """Where the run stopped, with its preposition: ``at epoch 3, iteration 40`` or ``in the validation after ...``."""
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
    """The number of an iteration; -1 where its error is rebuilt from the message alone."""
    if isinstance(iteration, str):
        return -1
    return iteration


def listed(names: Sequence[object]) -> str:
    """Names as words of a sentence: ``a, b and c``."""
    texts = [str(name) for name in names]
    if len(texts) == 1:
        return texts[0]
    return ", ".join(texts[:-1]) + " and " + texts[-1]
