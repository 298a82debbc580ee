"""Nodes and whole configs, against registries and a schema of these tests."""

from __future__ import annotations

import pytest

from eng.registry import MODELS, Registry, check

pytestmark = pytest.mark.usefixtures("parts")


def test_error_while_importing_a_location_goes_through(package) -> None:
    package("broken_parts", parts="1 / 0")
    Registry("model", parent=MODELS, scope="mmb", locations=["broken_parts.parts"])
    with pytest.raises(ZeroDivisionError):
        check(dict(type="mmb.X"), MODELS)
