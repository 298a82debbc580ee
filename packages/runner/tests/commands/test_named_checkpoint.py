"""Which checkpoint `--resume RUN` and `--checkpoint RUN` take where several runs lie in one work dir or below it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
import torch

from eng.runner._commands import _checkpoint_of
from eng.runner.passport.runs import NoPassportError, find_start

FIRST, SECOND, THIRD = "20260101_120000", "20260102_120000", "20260103_120000"


def start(folder: Path, name: str, **more: Any) -> None:
    (folder / name).mkdir(parents=True)
    passport = {"experiment_name": f"config_{name}", "began": name, **more}
    (folder / name / "passport.json").write_text(json.dumps(passport), encoding="utf-8")


def save(file: Path, name: str, iteration: int, number: int, run_id: str) -> None:
    meta = {"iter": iteration, "experiment_name": f"config_{name}", "run_id": run_id, "save_number": number}
    torch.save({"state_dict": {}, "optimizer": {}, "meta": {**meta, "time_ns": int(name[:8])}}, file)


@pytest.fixture
def work_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, the second of which is resumed by a third start from its iteration 4."""
    monkeypatch.chdir(tmp_path)
    folder = Path("work_dirs/config")
    start(folder, FIRST)
    start(folder, SECOND)
    start(folder, THIRD, parent={"experiment_name": f"config_{SECOND}", "iter": 4})
    save(folder / "iter_9.pth", FIRST, 9, 2, "a")
    save(folder / "best_x_iter_8.pth", FIRST, 8, 1, "a")
    save(folder / "iter_4.pth", SECOND, 4, 1, "b")
    save(folder / "iter_6.pth", SECOND, 6, 2, "b")
    save(folder / "best_x_iter_5.pth", SECOND, 5, 1, "b")
    return folder


@pytest.mark.parametrize(
    ("name", "newest", "best"),
    [
        (FIRST, "iter_9.pth", "best_x_iter_8.pth"),
        (f"config_{SECOND}", "iter_6.pth", "best_x_iter_5.pth"),
        (f"work_dirs/config/{THIRD}", "iter_4.pth", "iter_4.pth"),  # of its own it has none
    ],
)
def test_a_start_has_its_own_checkpoints_and_those_it_went_on_from(
    name: str, newest: str, best: str, work_dir: Path
) -> None:
    assert Path(_checkpoint_of(name, "--resume")) == work_dir / newest
    assert Path(_checkpoint_of(name, "--checkpoint")) == work_dir / best


def test_a_resumed_start_has_its_own_newest(work_dir: Path) -> None:
    save(work_dir / "iter_5.pth", THIRD, 5, 2, "b")
    assert Path(_checkpoint_of(THIRD, "--resume")) == work_dir / "iter_5.pth"


def test_a_start_of_version_1_is_known_by_its_config_and_time(work_dir: Path) -> None:
    passport = {"config_file": "configs/config.py", "began": FIRST}
    (work_dir / FIRST / "passport.json").write_text(json.dumps(passport), encoding="utf-8")
    assert Path(_checkpoint_of(FIRST, "--resume")) == work_dir / "iter_9.pth"


def test_a_start_without_checkpoints_takes_none_of_another(work_dir: Path) -> None:
    start(work_dir, "20260104_120000")
    for option in ("--resume", "--checkpoint"):
        with pytest.raises(click.ClickException, match=f"{option}: the run 20260104_120000 has no checkpoint in"):
            _checkpoint_of("20260104_120000", option)


def test_a_work_dir_stands_for_the_starts_directly_in_it(work_dir: Path) -> None:
    deeper = work_dir / f"{FIRST}-reproduced"
    start(deeper, "20260105_120000")
    save(deeper / "iter_1.pth", "20260105_120000", 1, 1, "c")
    assert find_start(work_dir).folder == work_dir / THIRD
    assert Path(_checkpoint_of("work_dirs/config", "--resume")).parent == work_dir
    assert Path(_checkpoint_of("config", "--checkpoint")).parent == work_dir
    assert find_start(deeper).folder.name == "20260105_120000"
    message = "work_dirs holds no run: no file passport.json lies in it or in a folder of it; eng runs work_dirs lists"
    with pytest.raises(NoPassportError, match=f"^{message}"):
        find_start("work_dirs")
    with pytest.raises(click.ClickException, match=f"^--resume: {message}"):
        _checkpoint_of("work_dirs", "--resume")
