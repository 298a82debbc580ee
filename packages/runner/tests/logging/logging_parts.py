"""What several tests of this folder share."""

from __future__ import annotations

from eng.logging import HistoryBuffer


def filled(values, counts=None, **kwargs):
    buffer = HistoryBuffer(**kwargs)
    for index, value in enumerate(values):
        buffer.update(value, 1 if counts is None else counts[index])
    return buffer
