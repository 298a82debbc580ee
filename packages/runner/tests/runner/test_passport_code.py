"""The code behind a run: which files count, and whether a run of a script is that of the same revision."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from eng.runner import Runner
from eng.runner.passport.code import source_files
from eng.runner.passport.plan import plan_of
from eng.runner.passport.runs import find_start


@pytest.mark.parametrize(
    ("folder", "is_counted"),
    [
        ("ml-packages/project", True),
        ("my-site-packages", True),
        ("lib/site-packages/library", False),
        ("dist-packages", False),
    ],
)
def test_code_of_the_user_counts_and_installed_packages_do_not(
    folder: str, is_counted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"sources_{folder.replace('/', '_').replace('-', '_')}"
    path = tmp_path / folder / f"{name}.py"
    path.parent.mkdir(parents=True)
    path.write_text("class Part:\n    pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(path.parent))
    module = __import__(name)
    try:
        assert source_files([module.Part()], None) == ({name: path} if is_counted else {})
    finally:
        del sys.modules[name]


def git(folder: Path, *words: str) -> None:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)


def commit(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    git(file.parent, "add", file.name)
    git(file.parent, "commit", "-qm", text)


def test_the_revision_of_a_script_is_that_of_its_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "project" / "train.py"
    script.parent.mkdir()
    git(script.parent, "init", "-q")
    commit(script, "first = 1\n")
    with monkeypatch.context() as patch:
        # `__main__` of a worker process of pytest-xdist has no `__file__`.
        patch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
        options: dict[str, Any] = dict(train_cfg=dict(max_epochs=1), log_level="ERROR")
        Runner(
            nn.Linear(1, 1), str(tmp_path / "run"), loss=lambda output: output.mean(), train_dataloader=[torch.ones(2, 1)],
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)), **options,
        ).train()  # fmt: skip
    start = find_start(tmp_path / "run")
    assert start.passport["code"]["revision"]
    assert [line for line in plan_of(start).lost if line.startswith("code")] == []
    commit(script.with_name("notes.txt"), "second\n")
    lost = [line for line in plan_of(start).lost if line.startswith("code")]
    assert [line.partition(":")[0] for line in lost] == ["code, revision"]
    assert "None" not in lost[0]
    without_folder = {key: value for key, value in start.passport.items() if key != "code_folder"}
    earlier = type(start)(start.folder, without_folder, start.end)
    assert [line for line in plan_of(earlier).lost if line.startswith("code")] == []
