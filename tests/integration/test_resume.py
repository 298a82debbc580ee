"""Runs that are killed anywhere and resumed end with the bits of a run that was not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from eng.checkpoint import CheckpointLoader, find_latest_checkpoint

SCRIPT = Path(__file__).with_name("resumable.py")


def start(work_dir: Path, *args: str, reads: Path | None = None) -> int:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **({"READS": str(reads)} if reads else {})}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), str(work_dir), *args],
        env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode <= 0 or done.returncode in (143, 138, 130), done.stderr[-3000:]
    return done.returncode


def final(work_dir: Path) -> dict[str, Any]:
    path = find_latest_checkpoint(str(work_dir))
    assert path is not None
    return CheckpointLoader.load_checkpoint(path, map_location="cpu")


def differences(ours: Any, theirs: Any, name: str = "") -> list[str]:
    """Paths at which two nested values differ in a bit."""
    if isinstance(ours, torch.Tensor):
        return [] if isinstance(theirs, torch.Tensor) and torch.equal(ours, theirs) else [name]
    if isinstance(ours, dict):
        missing = [f"{name}.{key}" for key in set(ours) ^ set(theirs)]
        return missing + [
            d for key in ours if key in theirs for d in differences(ours[key], theirs[key], f"{name}.{key}")
        ]
    if isinstance(ours, (list, tuple)):
        if len(ours) != len(theirs):
            return [name]
        return [d for i, pair in enumerate(zip(ours, theirs, strict=True)) for d in differences(*pair, f"{name}.{i}")]
    return [] if ours == theirs else [name]


def assert_same_end(work_dir: Path, untouched: dict[str, Any]) -> None:
    ended = final(work_dir)
    for key in ("state_dict", "optimizer", "param_schedulers", "ema_state_dict"):
        assert differences(ended[key], untouched[key], key) == []
    assert (ended["meta"]["epoch"], ended["meta"]["iter"]) == (untouched["meta"]["epoch"], untouched["meta"]["iter"])
    assert ended["run_state"]["accumulation"].keys() == untouched["run_state"]["accumulation"].keys()
    infos = [state["message_hub"]["runtime_info"] for state in (ended, untouched)]
    assert infos[0]["best_score"] == infos[1]["best_score"]


MODES = {"epochs": (), "iterations": ("--by-iter",), "workers": ("--workers", "2"), "async": ("--async-save",)}


@pytest.fixture(scope="module", params=list(MODES))
def mode(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def untouched(mode, tmp_path_factory) -> dict[str, Any]:
    """The end of a run that nothing happened to. The number of workers must not change it."""
    work_dir = tmp_path_factory.mktemp("untouched")
    assert start(work_dir, *[word for word in MODES[mode] if word in ("--by-iter",)]) == 0
    return final(work_dir)


# Points of a run and how often they are passed before the blow: early, inside an accumulation window, in validation, in a save.
KILLS = {
    "first iteration": ("before_train_iter", 1),
    "inside a window": ("after_train_iter", 14),
    "in validation": ("after_val_iter", 13),
    "before a save": ("before_save_checkpoint", 3),
    "last iteration": ("after_train_iter", 36),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("where", list(KILLS))
def test_killed_and_resumed_ends_with_the_same_bits(mode, untouched, where, tmp_path) -> None:
    if mode in ("workers", "async") and where not in ("inside a window", "before a save"):
        pytest.skip("the other kill points are run without workers and with plain saving")
    point, number = KILLS[where]
    assert start(tmp_path, *MODES[mode], "--kill", point, str(number)) == -9
    assert start(tmp_path, *MODES[mode], "--resume") == 0
    assert_same_end(tmp_path, untouched)


@pytest.mark.timeout(240)
def test_killed_at_random_again_and_again(tmp_path, tmp_path_factory) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed of this test: {seed}")
    chosen = random.Random(seed)
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    assert start(undisturbed) == 0
    resume: list[str] = []
    for _ in range(4):
        start(tmp_path, *resume, "--kill", "after_train_iter", str(chosen.randint(1, 15)))
        resume = ["--resume"]
    assert start(tmp_path, "--resume") == 0
    assert_same_end(tmp_path, final(undisturbed))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGUSR1", 138)])
def test_a_signal_saves_at_the_next_safe_point(name, status, tmp_path, tmp_path_factory) -> None:
    undisturbed = tmp_path_factory.mktemp("undisturbed")
    assert start(undisturbed) == 0
    reads = tmp_path / "reads.txt"
    assert start(tmp_path / "run", "--signal", name, "13", reads=reads) == status
    assert list((tmp_path / "run").glob("interrupted_iter_*.pth"))
    assert start(tmp_path / "run", "--resume", reads=reads) == 0
    assert_same_end(tmp_path / "run", final(undisturbed))
    # Stopped inside the second epoch, and no sample was read twice or left out.
    assert Counter(map(int, reads.read_text().split())) == Counter({number: 4 for number in range(50)})
