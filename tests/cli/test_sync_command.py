"""`eng sync` with the services of the front door."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from eng.cli._services import Services
from eng.visualization._commands import sync


def test_sync_runs_no_code_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "20260101_000000" / "vis_data"
    folder.mkdir(parents=True)
    position = {"axis": "iter", "mode": "train"}
    lines = [{"loss": 1 / n, "iter": n, "step": n, "iteration": n, **position} for n in range(1, 9)]
    (folder / "scalars.json").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    (folder / "config.py").write_text("import os\nos.system('touch owned')\nvis_backends = []", encoding="utf-8")
    options = [str(tmp_path), "--to", "tensorboard"]
    result = CliRunner().invoke(sync, options, obj=Services(), catch_exceptions=False)
    assert "the config of the run is left out" in result.output
    assert "wrote 8 lines up to iteration 8" in result.output
    assert not (tmp_path / "owned").exists()
