"""Runs that are killed anywhere and resumed end with the bits of a run that was not.

Kill points are a fixed list, and others that are drawn anew in each run of these tests: the number that they were drawn from is
printed, and ``ENG_KILL_SEED=number`` draws the same ones again.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from saved_bits import differences, state_of_run

SCRIPT = Path(__file__).with_name("resumable.py")
Start = Callable[..., int]

EPOCHS: tuple[str, ...] = ()
ITERATIONS = ("--by-iter",)
MODES = {
    "epochs": EPOCHS,
    "iterations": ITERATIONS,
    "epochs, 2 workers": ("--workers", "2"),
    "iterations, 2 workers": ("--by-iter", "--workers", "2"),
    "epochs, async": ("--async-save",),
    "iterations, async": ("--by-iter", "--async-save"),
}
# Points of a run and how often they are passed before the blow.
KILLS = {
    "first iteration": ("before_train_iter", 1),
    "inside a window": ("after_train_iter", 14),
    "in validation": ("after_val_iter", 13),
    "before a save": ("before_save_checkpoint", 3),
    "file written, not yet named": ("flush", 5),
    "file named, pointer not yet moved": ("flush", 6),
    "in the last iteration": ("after_train_iter", 36),
}
# Workers and writing beside training change nothing before the first iteration or at the end.
FEWER = ("inside a window", "in validation", "file written, not yet named")
MATRIX = [(mode, kill) for mode in MODES for kill in KILLS if mode in ("epochs", "iterations") or kill in FEWER]


@pytest.fixture(scope="module")
def start() -> Start:
    """Runs `resumable.py` in a process of its own and gives the exit status."""
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), "serve"], env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def run(work_dir: Path, *args: str, reads: Path | str = "") -> int:
        print(json.dumps({"args": [str(work_dir), *args], "reads": str(reads)}), file=server.stdin, flush=True)
        done = json.loads(server.stdout.readline())
        assert done["status"] in (0, -9, 143, 138), done["errors"]
        return done["status"]

    yield run
    server.stdin.close()
    server.wait(30)


@pytest.fixture(scope="module")
def untouched(start, tmp_path_factory) -> Callable[[tuple[str, ...]], Path]:
    """Folder of a run that nothing happened to. Neither workers nor writing beside training may change its end."""
    folders: dict[bool, Path] = {}

    def folder_of(mode: tuple[str, ...]) -> Path:
        by_iter = "--by-iter" in mode
        if by_iter not in folders:
            folders[by_iter] = tmp_path_factory.mktemp("untouched")
            assert start(folders[by_iter], *(ITERATIONS if by_iter else EPOCHS)) == 0
        return folders[by_iter]

    return folder_of


def remembered(path: Path) -> dict[str, Any]:
    """All of a checkpoint that must not depend on when and how often the run was started."""
    checkpoint = torch.load(path)
    hub = checkpoint["message_hub"]
    meta, info = checkpoint["meta"], hub["runtime_info"]
    return {
        **{key: checkpoint[key] for key in ("state_dict", "optimizer", "param_schedulers", "ema_state_dict")},
        "run_state": state_of_run(checkpoint),
        "meta": [meta["epoch"], meta["iter"], meta["seed"]],
        "scalars": {name: value for name, value in hub["log_scalars"].items() if "time" not in name},
        "best": info.get("best_score"),
        "best file": Path(info.get("best_ckpt", "")).name,
    }


def assert_same_end(work_dir: Path, undisturbed: Path) -> None:
    """Every checkpoint of the undisturbed run is there with the same bits; the other may have an old best one more."""
    names = sorted(path.name for path in undisturbed.glob("*.pth"))
    assert len(names) >= 5
    assert set(names) <= {path.name for path in work_dir.glob("*.pth")}
    found = {name: differences(remembered(work_dir / name), remembered(undisturbed / name)) for name in names}
    assert found == {name: [] for name in names}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("mode", "where"), MATRIX, ids=[f"{mode}: {kill}" for mode, kill in MATRIX])
def test_killed_and_resumed_ends_with_the_same_bits(start, untouched, mode, where, tmp_path) -> None:
    point, number = KILLS[where]
    assert start(tmp_path, *MODES[mode], "--kill", point, str(number)) == -9
    assert start(tmp_path, *MODES[mode], "--resume") == 0
    assert_same_end(tmp_path, untouched(MODES[mode]))


@pytest.mark.timeout(170)
@pytest.mark.parametrize("by", [EPOCHS, ITERATIONS], ids=["epochs", "iterations"])
def test_killed_at_random_again_and_again(start, untouched, by, tmp_path) -> None:
    seed = int(os.environ.get("ENG_KILL_SEED") or random.SystemRandom().randrange(10**6))
    print(f"ENG_KILL_SEED={seed}")
    draw = random.Random(seed)
    resume: list[str] = []
    for _ in range(4):
        point = draw.choice(
            ["before_train_iter", "after_train_iter", "after_val_iter", "before_save_checkpoint", "flush"]
        )
        workers = draw.choice([[], [], ["--workers", "2"]])
        beside = draw.choice([[], ["--async-save"]])
        kill = ["--kill", point, str(draw.randint(1, 15))]
        print(start(tmp_path, *by, *resume, *workers, *beside, *kill), resume, workers, beside, kill)
        resume = ["--resume"]
    assert start(tmp_path, *by, "--resume") == 0
    assert_same_end(tmp_path, untouched(by))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGUSR1", 138)])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_signal_saves_at_the_next_safe_point(start, untouched, name, status, workers, tmp_path) -> None:
    reads, run = tmp_path / "reads.txt", tmp_path / "run"
    more = ["--workers", str(workers)]
    assert start(run, *more, "--signal", name, "13", reads=reads) == status
    assert list(run.glob("interrupted_iter_*.pth"))
    read_before = Counter(map(int, reads.read_text().split()))
    assert start(run, *more, "--resume", reads=reads) == 0
    assert not list(run.glob("interrupted_iter_*.pth"))
    assert_same_end(run, untouched(EPOCHS))
    # Stopped inside the second epoch; no sample was read twice or left out, but for those that workers had read ahead.
    read = Counter(map(int, reads.read_text().split()))
    ahead = read_before.total() - 14 * 5
    assert 0 <= ahead <= workers * 2 * 5
    assert read.total() == 4 * 50 + ahead
    assert all(count >= 4 for count in read.values())
    assert len(read) == 50
