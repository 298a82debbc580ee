"""Formats numbers with their nouns, and metrics, for messages."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["counted", "metrics_line"]


def counted(number: int, singular: str, plural: str | None = None, *, separator: str = "") -> str:
    """Formats a number with its noun in singular or plural.

    Args:
        number: the number.
        singular: the noun for 1.
        plural: the noun for other numbers; None (default) adds an ``s`` to ``singular``.
        separator: separator of thousands.

    Example:
        >>> counted(1, "epoch"), counted(1437, "sample", separator=","), counted(2, "batch", "batches")
        ('1 epoch', '1,437 samples', '2 batches')
    """
    noun = singular
    if number != 1:
        noun = plural or f"{singular}s"
    digits = f"{number:,}".replace(",", separator)
    return f"{digits} {noun}"


def metrics_line(metrics: Mapping[str, object]) -> str:
    """Formats metrics for a log line, floats with four decimal places.

    Example:
        >>> metrics_line({"accuracy": 2 / 3, "samples": 12})
        'accuracy: 0.6667, samples: 12'
    """
    texts = []
    for name, value in metrics.items():
        if isinstance(value, float):
            texts.append(f"{name}: {value:.4f}")
        else:
            texts.append(f"{name}: {value}")
    return ", ".join(texts) or "no metrics"
