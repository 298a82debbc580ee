"""Texts for messages about the samples of a batch, which are named by their dataset indices."""

from __future__ import annotations

from .view import NamesSamples

_SHOWN = 16


def samples_of(loop: object, iteration: int) -> str:
    """Returns a text for messages with the dataset indices of the samples in an iteration's batch.

    The text is "" if the loop does not know the indices.

    Args:
        loop: the training loop.
        iteration: number of the iteration, counted from 0.
    """
    if isinstance(loop, NamesSamples):
        return samples_text(loop.sample_numbers(iteration))
    return ""


def samples_text(numbers: list[int] | None) -> str:
    """Returns a text for messages with the first 16 of the given dataset indices, and the number of further ones.

    The text is "" if there are no indices.
    """
    if not numbers:
        return ""
    more = ""
    if len(numbers) > _SHOWN:
        more = f" and {len(numbers) - _SHOWN} more"
    plural = ""
    if len(numbers) > 1:
        plural = "s"
    return f" (sample{plural} {', '.join(map(str, numbers[:_SHOWN]))}{more} of the training dataset)"
