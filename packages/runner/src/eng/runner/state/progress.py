"""Where a training loop stands, also one of a library that has nothing but ``epoch`` and ``iter``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from .rng import RngState, capture_rng, restore_rng


def position_of(loop: Any, point: str | None) -> dict[str, Any]:
    """Where a run goes on that is saved now.

    Args:
        loop: the training loop; one without a method ``position`` is asked for ``epoch`` and ``iter``.
        point: the hook point that is being called, None between points.
    """
    if callable(getattr(loop, "position", None)):
        position: dict[str, Any] = loop.position(point)
        return position
    epoch, iteration = int(loop.epoch), int(loop.iter)
    # Loops count an iteration and an epoch after the hooks behind them.
    return {
        "epoch": epoch + (point == "after_train_epoch"),
        "iter": iteration + (point == "after_train_iter"),
        "pass": epoch + (point == "after_train_epoch"),
        "batch": 0,
        "samples": 0,
        "validated_iter": iteration,
        "stop_training": bool(getattr(loop, "stop_training", False)),
    }


def rng_of(loop: Any, point: str | None) -> dict[str, RngState | None]:
    """The random generators that a run which is saved now goes on with; those of now where the loop does not tell."""
    if callable(getattr(loop, "rng_state", None)):
        state: dict[str, RngState | None] = loop.rng_state(point)
        return state
    return {"now": capture_rng(), "pass": None}


def go_on_from(loop: Any, position: Mapping[str, Any], rng: Mapping[str, RngState | None] | None) -> None:
    """Puts a loop where a saved run was.

    A loop without a method ``go_on_from`` gets the counters as ``_epoch`` and ``_iter``, which the reference's loops have
    behind ``epoch`` and ``iter``, and the random generators at once.
    """
    if callable(getattr(loop, "go_on_from", None)):
        loop.go_on_from(position, rng)
        return
    loop._epoch, loop._iter = position["epoch"], position["iter"]  # noqa: SLF001  # the reference's protocol
    if rng is not None and rng["now"] is not None:
        restore_rng(rng["now"])


@runtime_checkable
class TellsMoment(Protocol):
    """A training loop that tells where in training something is written."""

    def moment(self, point: str | None) -> dict[str, Any]:
        """``iteration`` and ``mode`` of what is written now."""


def moment_of(loop: object, point: str | None) -> dict[str, Any]:
    """Where in training something is written now, for the curves of a resumed run; empty outside of training."""
    if isinstance(loop, TellsMoment):
        return loop.moment(point)
    return {}
