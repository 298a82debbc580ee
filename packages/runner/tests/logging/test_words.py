from __future__ import annotations

import pytest

from eng.logging.words import counted


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, "epoch"), "0 epochs"),
        ((1, "epoch"), "1 epoch"),
        ((2, "batch", "batches"), "2 batches"),
        ((1, "batch", "batches"), "1 batch"),
        ((1234567, "sample"), "1234567 samples"),
    ],
)
def test_a_number_and_its_noun(arguments: tuple[int, str], text: str) -> None:
    assert counted(*arguments) == text


def test_thousands_are_separated_where_asked() -> None:
    assert counted(1234567, "sample", separator=",") == "1,234,567 samples"
