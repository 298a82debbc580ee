from __future__ import annotations

import pytest

from eng.model.adapters import build_model


@pytest.mark.parametrize("library", ["timm", "torchvision", "transformers"])
def test_a_library_that_is_missing_is_named(library, monkeypatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])
    monkeypatch.setattr(
        sys, "meta_path", [finder for finder in sys.meta_path if "tv_cpu" not in type(finder).__module__]
    )
    with pytest.raises(ImportError, match=f"pip install '{library}'"):
        build_model(dict(type=library, name="resnet18"))
