from __future__ import annotations

import pytest

from eng.registry import MODELS, check

pytestmark = pytest.mark.usefixtures("parts")


def test_slip_below_other_code_is_a_hint() -> None:
    node = dict(type="Exact", depth=1, inner=dict(type="Exact", dpeth=1))
    [finding] = check(node, MODELS)
    assert (finding.path, finding.is_certain) == ("model.inner.dpeth", False)
    assert finding.message == "Exact takes no argument 'dpeth'; did you mean 'depth'?"


@pytest.mark.parametrize("name", ["", "eng.", "mmdet.", "torch.nn."])
def test_an_empty_type_is_a_finding(name: str) -> None:
    [finding] = check(dict(type=name, depth=1), MODELS)
    assert (finding.path, finding.is_certain) == ("model.type", True)
    assert finding.message == f"type must be a name, a class or a function, not {name!r}"
