"""Numbers with the right form of what they count."""

from __future__ import annotations

__all__ = ["counted"]


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
