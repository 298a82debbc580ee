"""Exact resume over the product of what it depends on: workers, persistence, generators, units, accumulation, average.

CI runs a covering array: each pair of values of two settings is in one of its runs. ``ENG_EXACT_RESUME=all`` runs the full
product. Kill points are drawn; ``ENG_KILL_SEED=number``, which is printed, draws the same ones again.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from saved_bits import differences, state_of_run

SCRIPT = Path(__file__).with_name("exact_product.py")
GENERATORS = ("none", "global", "loader", "sampler", "numpy")
SETTINGS = {
    "workers": ([], ["--workers", "2"]),
    "persistent": ([], ["--persistent"]),
    "validation": ([], ["--val"], ["--val", "--val-persistent"]),
    "generator": [["--generator", name] for name in GENERATORS],
    "unit": ([], ["--by-iter"]),
    "accumulation": ([], ["--accumulate", "3"]),
    "average": ([], ["--ema"]),
}
POINTS = ("before_train_iter", "after_train_iter", "before_save_checkpoint")
SEED = int(os.environ.get("ENG_KILL_SEED") or random.SystemRandom().randrange(10**6))

Choice = tuple[int, ...]


def full_product() -> list[Choice]:
    """All choices; without workers nothing can be persistent, so those are left out."""
    everything = itertools.product(*(range(len(values)) for values in SETTINGS.values()))
    return [choice for choice in everything if choice[0] or not (choice[1] or choice[2] == 2)]


def pairs_of(choice: Choice) -> set[tuple[tuple[int, int], ...]]:
    return set(itertools.combinations(enumerate(choice), 2))


def covering_array() -> list[Choice]:
    """Few choices that hold each possible pair of two settings' values; greedy, the same in each run."""
    candidates = full_product()
    left = set().union(*map(pairs_of, candidates))
    chosen = []
    while left:
        best = max(candidates, key=lambda choice: len(pairs_of(choice) & left))
        chosen.append(best)
        left -= pairs_of(best)
    return chosen


def words_of(choice: Choice) -> list[str]:
    return [word for values, index in zip(SETTINGS.values(), choice, strict=True) for word in values[index]]


CHOICES = full_product() if os.environ.get("ENG_EXACT_RESUME") == "all" else covering_array()


@pytest.fixture(scope="module")
def start():
    """Runs `exact_product.py` in a process of its own and gives the exit status."""
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), "serve"], env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def run(work_dir: Path, *args: str, reads: Path | str = "") -> int:
        print(json.dumps({"args": [str(work_dir), *args], "reads": str(reads)}), file=server.stdin, flush=True)
        done = json.loads(server.stdout.readline())
        assert done["status"] in (0, -9), done["errors"]
        return done["status"]

    yield run
    server.stdin.close()
    server.wait(30)


def last_state(work_dir: Path) -> dict:
    """The last checkpoint, without what depends on the clock."""
    path = max(work_dir.glob("*_*.pth"), key=lambda path: torch.load(path)["meta"]["iter"])
    saved = torch.load(path)
    scalars = saved["message_hub"]["log_scalars"]
    kept = {
        key: saved[key] for key in ("state_dict", "optimizer", "param_schedulers", "ema_state_dict") if key in saved
    }
    return {
        **kept,
        "run_state": state_of_run(saved),
        "iter": saved["meta"]["iter"],
        "scalars": {name: scalars[name] for name in scalars if "time" not in name},
    }


def read_of(path: Path) -> Counter[int]:
    return Counter(map(int, path.read_text().split()))


def test_the_covering_array_holds_every_pair() -> None:
    every = set().union(*map(pairs_of, full_product()))
    assert set().union(*map(pairs_of, covering_array())) == every
    assert len(covering_array()) < 30 < 300 < len(full_product())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: " ".join(words_of(choice)).replace("--", ""))
def test_a_killed_and_resumed_run_ends_with_the_same_bits(start, choice, tmp_path) -> None:
    words = words_of(choice)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert start(undisturbed, *words, reads=tmp_path / "all.txt") == 0
    draw = random.Random(f"{SEED} {words}")
    resume: list[str] = []
    for _ in range(2):
        points = (*POINTS, "after_val_iter") if "--val" in words else POINTS
        kill = ["--kill", draw.choice(points), str(draw.randint(2, 13))]
        print(f"ENG_KILL_SEED={SEED}", start(killed, *words, *resume, *kill), resume, kill)
        resume = ["--resume"]
    assert start(killed, *words, "--resume") == 0
    assert differences(last_state(killed), last_state(undisturbed)) == []
    iterations = last_state(undisturbed)["iter"]
    ahead = 2 * 2 * 5 if "--workers" in words and "--by-iter" in words else 0
    assert iterations * 5 <= read_of(tmp_path / "all.txt").total() <= iterations * 5 + ahead


@pytest.mark.timeout(120)
@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("workers", [[], ["--workers", "2", "--persistent"]], ids=["no workers", "persistent"])
def test_no_sample_is_read_twice_after_a_stop_inside_an_epoch(start, generator, workers, tmp_path) -> None:
    """Iteration 12 of 10 per epoch is saved and the run killed there: what is left of the second epoch is read once."""
    words, reads = [*workers, "--generator", generator], tmp_path / "reads.txt"
    assert (
        start(tmp_path / "run", *words, "--by-iter", "--kill", "before_train_iter", "13", reads=tmp_path / "first.txt")
        == -9
    )
    assert start(tmp_path / "run", *words, "--by-iter", "--resume", reads=reads) == 0
    read = read_of(reads)
    ahead = 2 * 2 * 5 if workers else 0
    assert 15 * 5 <= read.total() <= 15 * 5 + ahead
    before = read_of(tmp_path / "first.txt")
    assert all(1 <= before[number] <= 2 for number in range(50))
