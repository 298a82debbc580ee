"""``eng tune lr``, ``eng tune batch`` and ``eng tune workers``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eng.config import Config


def test_rate_is_printed_drawn_and_written(config: Any, eng: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = config()
    words = ("tune", "lr", path, "--iters", 30, "--trial-iters", 5, "--plot", "lr.png", "--out", "tuned.py", "--json")
    status, out, err = eng(*words)
    assert status == 0, out + err
    data = json.loads(out)
    rate = data["options"]["optim_wrapper.optimizer.lr"]
    assert rate == data["suggestion"]
    # The loss is weight ** 2 / 2 with curvature 1: a rate of 1 ends it at once, and above 2 it diverges.
    assert 0.3 < rate < 2
    assert Config.fromfile(tmp_path / "tuned.py").optim_wrapper.optimizer.lr == rate
    assert (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")
    assert {file.name for file in tmp_path.iterdir()} == {"toy.py", "lr.png", "tuned.py"}
    status, out, _ = eng("tune", "lr", "toy.py", "--iters", 30, "--trial-iters", 5)
    assert f"--cfg-options optim_wrapper.optimizer.lr={rate:.4g}" in out.splitlines()


def test_batch_is_written_with_the_accumulation_that_keeps_the_effective_batch(
    config: Any, eng: Any, tmp_path: Path
) -> None:
    path = config("auto_scale_lr = dict(enable=True, base_batch_size=2)\n")
    words = ("tune", "batch", path, "--memory", "100GB", "--largest", 1, "--out", "tuned.py")
    status, out, err = eng(*words)
    assert status == 0, out + err
    assert "largest micro-batch: 1; effective batch: 2, as before" in out
    assert "set auto_scale_lr.base_batch_size=1" in out
    assert "--cfg-options train_dataloader.batch_size=1 optim_wrapper.accumulative_counts=2" in out
    tuned = Config.fromfile(tmp_path / "tuned.py")
    assert (tuned.train_dataloader.batch_size, tuned.optim_wrapper.accumulative_counts) == (1, 2)


def test_workers_are_printed(config: Any, eng: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eng.tune._workers._cores", lambda: 0)
    status, out, err = eng("tune", "workers", config(), "--seconds", 0.1)
    assert status == 0, out + err
    assert out.splitlines()[0].startswith("0 workers: ")
    assert out.splitlines()[-1] == "--cfg-options train_dataloader.num_workers=0"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr", "toy.py", "--low", 1, "--high", 0.1], "the range of learning rates is empty: low=1 must be above 0"),
        (["lr", "toy.py", "--iters", 3], "a range test takes at least 10 steps"),
        (["batch", "toy.py"], "on the CPU a search for the batch size needs a limit: --memory 2GB"),
        (["batch", "toy.py", "--memory", "much"], "memory is a number of bytes above 0, such as 2GB or 512MiB, got 'much'"),
        (["batch", "toy.py", "--memory", "1kB"], "not even a batch of 1 sample fits into 1,000 bytes"),
        (["workers", "toy.py", "--seconds", 0], "workers are measured for numbers from 0 and a time above 0"),
        (["lr", "absent.py"], "absent.py"),
        (["lr", "toy.py", "--cfg-options", "train_dataloader=None", "train_cfg=None", "optim_wrapper=None"], "nothing to train with"),
    ],
)  # fmt: skip
def test_mistakes_are_named(words: list[Any], message: str, config: Any, eng: Any) -> None:
    config()
    status, out, err = eng("tune", *words)
    assert message in " ".join((out + err).split()), out + err
    assert status == 2
