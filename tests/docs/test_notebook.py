"""The notebook of the 15 minutes is made of today's page, and a kernel of Jupyter executes it."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/notebook.py"
NOTEBOOK = ROOT / "docs/start/fifteen-minutes.ipynb"


def test_notebook_is_up_to_date() -> None:
    made = runpy.run_path(str(SCRIPT))["notebook"]()
    assert NOTEBOOK.read_text(encoding="utf-8") == made, "run: python scripts/notebook.py --update"


@pytest.mark.timeout(400)
def test_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    # A kernel of this Python, wherever Jupyter would look for others.
    install = [sys.executable, "-m", "ipykernel", "install", "--prefix", str(tmp_path / "jupyter"), "--name", "python3"]
    subprocess.run(install, check=True, capture_output=True, timeout=100)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter/share/jupyter"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    settings = {"resources": {"metadata": {"path": str(tmp_path)}}, "kernel_name": "python3", "timeout": 300}
    nbclient.NotebookClient(notebook, **settings).execute()
    printed = [output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]
    assert any("accuracy: " in text for text in printed)
    assert_picture_is_of_this_run(tmp_path / "work_dirs/fifteen_minutes")


def assert_picture_is_of_this_run(work_dir: Path) -> None:
    """The values in the picture are those of the run, up to what another processor rounds in another way."""
    pictures = runpy.run_path(str(ROOT / "scripts/pictures.py"))
    shown = json.loads(pictures["VALUES"].read_text(encoding="utf-8"))["fifteen-minutes"]
    values = pictures["curve_values"](work_dir)
    assert values["accuracy"] == pytest.approx(shown["accuracy"], abs=4), "run: nox -s pictures"
    assert values["loss"] == pytest.approx(shown["loss"], rel=0.1, abs=0.1)
