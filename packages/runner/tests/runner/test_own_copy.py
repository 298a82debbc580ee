from __future__ import annotations

from types import MappingProxyType

from eng.config import ConfigDict
from eng.runner.assemble.own_copy import own_copy


def test_the_copy_is_of_the_same_class_and_changes_alone() -> None:
    cfg = ConfigDict(type="SGD", groups=ConfigDict(lr=0.1))
    copied = own_copy(cfg)
    copied["type"] = "Adam"
    assert type(copied) is ConfigDict
    assert cfg.type == "SGD"
    assert copied["groups"] is cfg.groups  # shallow


def test_a_mapping_that_cannot_be_changed_becomes_a_dict() -> None:
    copied = own_copy(MappingProxyType({"type": "SGD"}))
    copied["lr"] = 0.1
    assert copied == {"type": "SGD", "lr": 0.1}
