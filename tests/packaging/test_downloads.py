"""scripts/nox_environments.py: what `nox -s train` says that it downloads."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nox", reason="the session that runs these tests installs it")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def environments(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("nox_environments")


class Session:
    """A session whose pip writes a report, or fails without one."""

    def __init__(self, report: Any) -> None:
        self.report = report
        self.lines: list[str] = []
        self.calls: list[tuple[str, ...]] = []

    def log(self, line: str) -> None:
        self.lines.append(line)

    def run(self, *words: str, **_: Any) -> None:
        self.calls.append(words)
        if self.report is not None:
            Path(words[words.index("--report") + 1]).write_text(json.dumps(self.report))


@pytest.fixture
def wheels(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A report of pip about files of these sizes."""

    def report(**sizes: int) -> dict[str, Any]:
        entries = []
        for name, size in sizes.items():
            path = tmp_path / f"{name}.whl"
            path.write_bytes(bytes(size))
            entries.append({"metadata": {"name": name}, "download_info": {"url": path.as_uri()}})
        return {"install": entries}

    return report


def test_the_files_and_their_sizes_are_said(environments: Any, wheels: Any) -> None:
    session = Session(wheels(click=400_000, torch=5_000_000, rich=2_000_000))
    environments.announce_download(session, ["scikit-learn>=1.4"], in_detail=True)
    said = "This environment is made now: 3 packages, 7 MB (torch 5 MB, rich 2 MB, click 0 MB)."
    assert session.lines[1].startswith(said)
    (call,) = session.calls
    assert "scikit-learn>=1.4" in call
    assert call.index("torch") < call.index("numpy>=1.26")


def test_the_index_of_cpu_wheels_is_asked_too(environments: Any, wheels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENG_TORCH_INDEX", "https://cpu.example/whl")
    monkeypatch.setattr(environments.shutil, "which", lambda _: None)
    session = Session(wheels(torch=1_000_000))
    environments.announce_download(session, [], in_detail=True)
    (call,) = session.calls
    assert call[call.index("--extra-index-url") + 1] == "https://cpu.example/whl"


def test_an_index_that_does_not_tell_leaves_the_estimate(environments: Any) -> None:
    for report in (None, {"install": [{"metadata": {"name": "torch"}}]}):
        session = Session(report)
        environments.announce_download(session, [], in_detail=True)
        assert "torch takes 200 MB" in " ".join(session.lines)


def test_everything_is_asked_for_and_nothing_of_this_repository(environments: Any) -> None:
    asked = environments.outside_requirements()
    assert not [item for item in asked if item.startswith("eng")]
    assert {"click>=8.1", "torch>=2.6", "optuna>=4", "tensorboard>=2.16", "s3fs>=2024.2"} <= set(asked)
