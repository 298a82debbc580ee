from __future__ import annotations

import pytest

from eng.compat._routes import target_of


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("mmengine", "eng.compat.toplevel"),
        ("mmengine.runner", "eng.runner"),
        ("mmengine.runner.checkpoint", "eng.runner.checkpoint"),
        ("mmengine.utils", "eng.compat.utils"),
        ("mmengine.utils.dl_utils.parrots_wrapper", "eng.compat.utils.dl_utils.parrots_wrapper"),
        ("mmengine.version", "eng.compat.version"),
        ("mmengine._strategy", "eng.compat.strategies"),
    ],
)
def test_every_path_has_its_place(name, target) -> None:
    assert target_of(name) == target
