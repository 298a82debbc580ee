from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from sweep_parts import CONFIG  # beside this file


@pytest.fixture(autouse=True)
def toys_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """Writes the config of a small training and gives its path."""

    def write(text: str = "", epochs: int = 2, pause_s: float = 0.0) -> Path:
        path = tmp_path / "toy.py"
        path.write_text(CONFIG.format(work_dir=str(tmp_path / "work"), epochs=epochs, pause_s=pause_s) + text)
        return path

    return write


@pytest.fixture
def eng(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs a command of `eng` in this process: exit status, output, errors."""
    import io
    from contextlib import redirect_stderr, redirect_stdout

    monkeypatch.chdir(tmp_path)

    def run(*words: Any) -> tuple[int, str, str]:
        cli = pytest.importorskip("eng.cli")
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = cli.main([str(word) for word in words])
        return status, out.getvalue(), err.getvalue()

    return run


@pytest.fixture
def inline() -> Any:
    from inline import InlineExecutor

    return InlineExecutor()
