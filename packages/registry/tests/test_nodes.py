from __future__ import annotations

from types import SimpleNamespace

import pytest

from eng.registry import Registry


def test_old_python_has_the_note_in_the_message(nets: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eng.registry._notes.sys", SimpleNamespace(version_info=(3, 10)))
    with pytest.raises(ValueError, match="no depth 49") as caught:
        nets.build(dict(type="Detector", backbone=dict(type="ResNet", depth=49)))
    assert str(caught.value).splitlines() == [
        "no depth 49",
        "while building model.backbone → ResNet(depth=49)",
        "  inside model → Detector(backbone=…)",
    ]
