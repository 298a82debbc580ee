"""Numbers as messages show them."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["counted", "metrics_line"]


def counted(number: int, singular: str, plural: str | None = None, *, separator: str = "") -> str:
    """A number and its noun.

    Args:
        number: of them.
        singular: the noun for one.
        plural: for several; None adds an ``s``.
        separator: between thousands.

    Example:
        >>> counted(1, "epoch"), counted(1437, "sample", separator=","), counted(2, "batch", "batches")
        ('1 epoch', '1,437 samples', '2 batches')
    """
    noun = singular if number == 1 else plural or f"{singular}s"
    digits = f"{number:,}".replace(",", separator)
    return f"{digits} {noun}"


def metrics_line(metrics: Mapping[str, object]) -> str:
    """Metrics as a log line shows them, with four decimal places.

    Example:
        >>> metrics_line({"accuracy": 2 / 3, "samples": 12})
        'accuracy: 0.6667, samples: 12'
    """
    shown = (
        f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}" for name, value in metrics.items()
    )
    return ", ".join(shown) or "no metrics"
