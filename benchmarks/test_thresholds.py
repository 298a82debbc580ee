"""Which rows of the benchmarks fail, and which do not."""

from __future__ import annotations

import pytest
from thresholds import missed


@pytest.mark.parametrize(
    ("measured", "target", "expected"),
    [
        ("1.40x", "<= 1.0", False),
        ("1.60x", "<= 1.0", True),
        ("6.0x", ">= 10", True),
        ("7.0x", ">= 10", False),
        ("23.0%", "<= 15%", True),
        ("90.00 us", "<= 5 us", False),
        ("9.0x", "-", False),
        ("9.0x", "(peer)", False),
    ],
)
def test_a_ratio_fails_beyond_half_of_its_target_and_a_time_never(measured: str, target: str, expected: bool) -> None:
    assert missed(measured, target) is expected
