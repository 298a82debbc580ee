"""The main job: `eng train examples/digits/config.py`, as a new user runs it."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from saved_bits import differences, state_of_run

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"Epoch\(train\) +\[\d+\]\[ *\d+/45\]  lr: \S+  eta: \S+  time: \S+  data_time: \S+ .*loss: \S+")


def eng(folder: Path, *args: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "eng.cli", *args], cwd=folder, capture_output=True, text=True, timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("digits")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder, eng(folder, "train", "examples/digits/config.py")


def test_the_images_are_those_of_scikit_learn(monkeypatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples/digits")
    import digits_parts
    from sklearn.datasets import load_digits

    images_NF, labels_N = load_digits(return_X_y=True)
    table_NF = digits_parts.read_digits()
    assert (table_NF[:, :64] == images_NF).all()
    assert (table_NF[:, 64] == labels_N).all()


@pytest.mark.timeout(450)
def test_it_reaches_98_percent_and_says_where_everything_is(trained) -> None:
    _, done = trained
    assert done.returncode == 0, done.stderr[-2000:]
    accuracies = [float(found) for found in re.findall(r"Epoch\(val\).*accuracy: ([\d.]+)", done.stdout)]
    assert max(accuracies) >= 98
    said = dict(
        line.split(": ", 1) for line in done.stdout.splitlines() if re.match(r"(Best|Last) checkpoint|Log|Curves", line)
    )
    assert Path(said["Best checkpoint"].split(" (")[0]).is_file()
    assert Path(said["Last checkpoint"]).is_file()
    assert Path(said["Log"]).is_file()
    assert (Path(said["Curves"].split(" (")[0]) / "scalars.json").is_file()


@pytest.mark.timeout(450)
def test_lines_scalars_and_event_files(trained) -> None:
    folder, done = trained
    assert len(LINE.findall(done.stdout)) == 20 * 4
    assert "\x1b[" not in done.stdout, "no colours and no bar in a pipe"
    (scalars,) = (folder / "work_dirs/digits").glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert sum("loss" in line for line in lines) == 80
    assert sum("accuracy" in line for line in lines) == 20
    (log,) = (folder / "work_dirs/digits").glob("*/*.log")
    assert len(LINE.findall(log.read_text())) == 80
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = (folder / "work_dirs/digits").glob("*/vis_data/events.*")
    reader = EventAccumulator(str(events))
    reader.Reload()
    assert len(reader.Scalars("loss")) == 80


@pytest.mark.timeout(450)
def test_resume_goes_on_from_the_last_epoch(trained, monkeypatch) -> None:
    folder, _ = trained
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # names every module that is imported, on the error stream
    done = eng(folder, "train", "examples/digits/config.py", "--resume", "--cfg-options", "train_cfg.max_epochs=21")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "resumed epoch: 20, iter: 900" in done.stdout
    assert re.search(r"Epoch\(train\) +\[21\]\[10/45\]", done.stdout)
    assert not re.search(r"Epoch\(train\) +\[20\]", done.stdout)
    imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "eng.hooks" in imported
    slow_to_load = {"matplotlib", "cv2", "sklearn", "pandas"}
    assert not slow_to_load & imported, "a run starts without what it does not need"


@pytest.mark.timeout(450)
def test_ctrl_c_says_where_it_stopped_and_how_to_go_on(tmp_path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    call = [sys.executable, "-m", "eng.cli", "train", "examples/digits/config.py", "--work-dir", "stopped"]
    process = subprocess.Popen(call, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    for line in process.stdout:
        if "[1][20/45]" in line or time.monotonic() > deadline:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=170)
    assert process.returncode == 130, errors[-2000:]
    assert re.search(r"Stopped by SIGINT (at|in the validation (after|in)) epoch \d+, (after )?iteration \d+", errors)
    assert "--work-dir stopped --resume" in errors
    done = eng(
        tmp_path,
        "train",
        "examples/digits/config.py",
        "--work-dir",
        "stopped",
        "--resume",
        "--cfg-options",
        "train_cfg.max_epochs=1",
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "resumed epoch: 0, iter: 2" in done.stdout


@pytest.mark.timeout(450)
def test_interrupted_five_times_at_random_it_ends_with_the_same_bits(tmp_path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    seed = os.environ.get("ENG_KILL_SEED") or str(random.SystemRandom().randrange(10**6))
    print(f"ENG_KILL_SEED={seed}")
    script = Path(__file__).with_name("interrupted_digits.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path), seed], capture_output=True, text=True, timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    print(told)
    *stops, (last,) = told["interrupted"]
    assert (told["undisturbed"], last) == (0, 0), done.stderr[-3000:]
    assert len(stops) == 5
    assert {status for status, *_ in stops} <= {0, -9, 143}, done.stderr[-3000:]
    ours, theirs = (torch.load(tmp_path / name / "epoch_3.pth") for name in ("interrupted", "undisturbed"))
    assert ours["meta"]["iter"] == theirs["meta"]["iter"] == 3 * 45
    for key in ("state_dict", "optimizer", "param_schedulers"):
        assert differences(ours[key], theirs[key], key) == []
    assert differences(state_of_run(ours), state_of_run(theirs)) == []
    scalars = [saved["message_hub"]["log_scalars"] for saved in (ours, theirs)]
    for name in ("train/loss", "val/accuracy"):
        assert differences(scalars[0][name], scalars[1][name], name) == []
