from __future__ import annotations

import multiprocessing

import pytest

from eng.compat.utils import dl_utils


@pytest.fixture(autouse=True)
def start_method_is_kept():
    before = multiprocessing.get_start_method(allow_none=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def test_settings_of_workers(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    multiprocessing.set_start_method("fork", force=True)
    with pytest.warns(UserWarning, match="'spawn' now"):
        dl_utils.set_multi_processing("spawn", distributed=True)
    assert multiprocessing.get_start_method() == "spawn"
    assert __import__("os").environ["OMP_NUM_THREADS"] == "1"
