from __future__ import annotations

import pytest

from eng.registry import Finding

pytestmark = pytest.mark.usefixtures("parts")


def test_finding_is_a_value() -> None:
    assert Finding("unknown-key", "a.b", "words") == Finding("unknown-key", "a.b", "words")
    assert str(Finding("unknown-key", "a.b", "words")) == "a.b: words"
