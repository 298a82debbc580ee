from __future__ import annotations

import pytest

import eng.fileio as fileio


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_an_untrusted_pickle_is_refused_unread(tmp_path, monkeypatch, how):
    fileio.dump([1], tmp_path / "a.pkl")
    if how == "environment":
        monkeypatch.setenv("ENG_SAFE_LOAD", "1")
    with pytest.raises(fileio.UntrustedFileError, match=r"a\.pkl: refused.*can run any code.*trust=True"):
        fileio.load(tmp_path / "a.pkl", **({"trust": False} if how == "argument" else {}))
    assert fileio.load(tmp_path / "a.pkl", trust=True) == [1]
