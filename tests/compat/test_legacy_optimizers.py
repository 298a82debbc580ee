from __future__ import annotations

from eng.compat.legacy import optimizers


def test_optimizers_are_listed_by_package() -> None:
    assert optimizers.register_sophia_optimizers() == []
    assert {"SGD", "AdamW"} <= set(optimizers.register_torch_optimizers())
