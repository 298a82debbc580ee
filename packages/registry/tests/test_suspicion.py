from __future__ import annotations

import pytest

from eng.registry import MODELS, check

pytestmark = pytest.mark.usefixtures("parts")


def test_parts_below_other_code_are_its_own_business() -> None:
    node = dict(type="Exact", depth=1, inner=[dict(kind="smooth", beta=1), dict(type="Exact"), dict(type=3)])
    assert check(node, MODELS) == []


def test_annotations_of_other_people_are_no_evidence() -> None:
    assert check(dict(type="Exact", depth="twelve"), MODELS) == []
