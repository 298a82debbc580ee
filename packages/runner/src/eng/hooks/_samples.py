"""The samples of a batch, for messages."""

from __future__ import annotations

from .view import NamesSamples

_SHOWN = 16


def samples_of(loop: object, iteration: int) -> str:
    """The samples of an iteration's batch for a message; an empty text where the loop cannot tell.

    Args:
        loop: the training loop.
        iteration: counted from 0.
    """
    if isinstance(loop, NamesSamples):
        return samples_text(loop.sample_numbers(iteration))
    return ""


def samples_text(numbers: list[int] | None) -> str:
    """The samples for a message; an empty text where they are not known."""
    if not numbers:
        return ""
    more = ""
    if len(numbers) > _SHOWN:
        more = f" and {len(numbers) - _SHOWN} more"
    plural = ""
    if len(numbers) > 1:
        plural = "s"
    return f" (sample{plural} {', '.join(map(str, numbers[:_SHOWN]))}{more} of the training dataset)"
