from __future__ import annotations

import pytest

import eng.fileio as fileio

yaml = pytest.importorskip("yaml")


def test_an_unsafe_yaml_loader_counts_as_untrusted(tmp_path):
    (tmp_path / "a.yaml").write_text("a: 1")
    assert fileio.load(tmp_path / "a.yaml", trust=False, Loader=yaml.SafeLoader) == {"a": 1}
    with pytest.raises(fileio.UntrustedFileError, match="YamlHandler can run any code"):
        fileio.load(tmp_path / "a.yaml", trust=False, Loader=yaml.UnsafeLoader)
