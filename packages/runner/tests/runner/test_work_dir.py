"""Runs beside one another: in one second, in one process, in one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eng.hooks import Hook
from eng.logging import MessageHub, MMLogger
from eng.logging.starts import claim_start, read_start, start_number
from eng.registry import DefaultScope
from eng.runner import environment
from eng.runner.work_dir import LOCK_FILE, occupied
from eng.visualization import Visualizer
from eng.visualization.curves import find_scalars

STAMP = "20260101_120000"


@pytest.fixture
def one_second(monkeypatch) -> None:
    monkeypatch.setattr(environment, "shared_timestamp", lambda: STAMP)


def rates(work_dir: Path) -> list[list[float]]:
    files = sorted(work_dir.glob("*/vis_data/scalars.json"))
    return [[json.loads(line)["lr"] for line in file.read_text().splitlines()] for file in files]


def settings(lr: float, **changes) -> dict:
    wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=lr))
    logs = dict(logger=dict(type="LoggerHook", interval=4))
    return dict(optim_wrapper=wrapper, default_hooks=logs, experiment_name=None, log_level="INFO", **changes)


NAMED = dict(type="Visualizer", name="visualizer", vis_backends=[dict(type="LocalVisBackend")])


@pytest.mark.parametrize("visualizer", [None, NAMED], ids=["default", "named as in configs"])
@pytest.mark.parametrize("name", [None, "mine"])
def test_two_runs_of_one_second_write_into_their_own_folders(
    make_runner, tmp_path, one_second, visualizer, name
) -> None:
    changes = dict(visualizer=visualizer, work_dir=tmp_path / "a")
    first = make_runner(**{**settings(0.01, **changes), "experiment_name": name})
    changes["work_dir"] = tmp_path / "b"
    second = make_runner(**{**settings(0.5, **changes), "experiment_name": name})
    first.train()
    second.train()
    assert rates(tmp_path / "a") == [[0.01, 0.01]]
    assert rates(tmp_path / "b") == [[0.5, 0.5]]
    for part in ("logger", "message_hub", "visualizer"):
        assert getattr(first, part) is not getattr(second, part)
    assert first.experiment_name != second.experiment_name
    for runner, other in ((first, second), (second, first)):
        text = (Path(runner.log_dir) / f"{runner.timestamp}.log").read_text()
        assert f"Exp name: {runner.experiment_name}\n" in text
        assert f"Exp name: {other.experiment_name}\n" not in text


def test_what_is_current_belongs_to_the_run_that_runs(make_runner, tmp_path) -> None:
    seen = []

    class Look(Hook):
        def before_train(self, runner):
            current = [kind.get_current_instance() for kind in (MMLogger, MessageHub, Visualizer)]
            seen.append([one is mine for one, mine in zip(current, parts_of(runner), strict=True)])
            seen.append([DefaultScope.get_current_instance().scope_name == runner.default_scope])
            seen.append([runner.optim_wrapper.message_hub is runner.message_hub])

    def parts_of(runner):
        return runner.logger, runner.message_hub, runner.visualizer

    first = make_runner(work_dir=tmp_path / "a", custom_hooks=[Look()])
    second = make_runner(work_dir=tmp_path / "b", default_scope="mmengine", custom_hooks=[Look()])
    first.train()
    assert MessageHub.get_current_instance() is second.message_hub
    second.train()
    assert seen == [[True] * 3, [True], [True]] * 2


def test_two_runs_of_one_second_in_one_folder_have_two_starts(make_runner, tmp_path, one_second) -> None:
    first = make_runner(work_dir=tmp_path, **settings(0.01))
    second = make_runner(work_dir=tmp_path, **settings(0.5))
    assert (first.timestamp, second.timestamp) == (STAMP, f"{STAMP}_1")
    first.train()
    second.train()
    assert rates(tmp_path) == [[0.01, 0.01], [0.5, 0.5]]
    assert [start_number(runner.log_dir) for runner in (first, second)] == [1, 2]


def test_a_folder_that_is_there_is_nobodys_start(make_runner, tmp_path, one_second) -> None:
    (tmp_path / STAMP).mkdir()
    assert make_runner(work_dir=tmp_path, experiment_name=None).timestamp == f"{STAMP}_1"


CLAIM = """
import sys, time
from pathlib import Path
from eng.hooks import Hook
from eng.logging import MessageHub, MMLogger
from eng.logging.starts import claim_start
folder, stamp, ready = sys.argv[1:]
Path(ready).touch()
while not Path(ready).parent.joinpath("go").exists():
    time.sleep(0.001)
print(*[claim_start(folder, stamp) for _ in range(5)])
"""


def test_processes_of_one_second_share_no_folder(tmp_path) -> None:
    signs = [tmp_path / f"ready{index}" for index in range(3)]
    command = [sys.executable, "-c", CLAIM, str(tmp_path / "work"), STAMP]
    processes = [subprocess.Popen([*command, str(sign)], stdout=subprocess.PIPE, text=True) for sign in signs]
    deadline = time.monotonic() + 60
    while not all(sign.exists() for sign in signs) and time.monotonic() < deadline:
        time.sleep(0.01)
    (tmp_path / "go").touch()
    names = [name for process in processes for name in process.communicate(timeout=60)[0].split()]
    assert len(set(names)) == len(names) == 15
    assert set(names) == {STAMP, *(f"{STAMP}_{number}" for number in range(1, 15))}
    assert all(read_start(tmp_path / "work" / name)["pid"] in {process.pid for process in processes} for name in names)


RANK = """
import sys
import torch.distributed as dist
from eng.runner.work_dir import claim_shared_start
rank, folder, store, stamp = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
try:
    print(claim_shared_start(folder, stamp, lambda name: rank == 0 and name == stamp))
except OSError as error:
    print(type(error).__name__)
dist.destroy_process_group()
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_possible", [True, False], ids=["folder", "a file is in the way"])
def test_ranks_agree_on_the_name(tmp_path, is_possible) -> None:
    work_dir = tmp_path / "work"
    if not is_possible:
        work_dir.touch()
    arguments = [str(work_dir), str(tmp_path / "store"), STAMP]
    processes = [
        subprocess.Popen([sys.executable, "-c", RANK, str(rank), *arguments], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    # gloo of torch 2.9 prints lines of its own.
    names = [process.communicate(timeout=90)[0].splitlines()[-1] for process in processes]
    assert names == [f"{STAMP}_1" if is_possible else "FileExistsError"] * 2


# --- another run in the same folder -------------------------------------------------------------------------------------

HOLD = """
import sys, time
from eng.runner.work_dir import occupied
with occupied(sys.argv[1], "the other run"):
    print("held", flush=True)
    time.sleep(60)
"""

unix = pytest.mark.skipif(sys.platform == "win32", reason="the lock is Unix's")


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait(timeout=30)
    process.stdout.close()


@unix
def test_a_run_that_trains_in_the_same_folder_is_named(make_runner, tmp_path, holder, heard) -> None:
    runner = make_runner(work_dir=tmp_path)
    assert "Another run" not in heard.text  # a validation beside a training is fine
    runner.train()
    expected = f"Another run trains in {tmp_path} now: the other run, process {holder.pid} on "
    assert sum(line.startswith(expected) for line in heard.lines) == 1
    assert (tmp_path / LOCK_FILE).exists()  # it is the other's


@unix
def test_a_run_that_was_killed_occupies_nothing(make_runner, tmp_path, holder, heard) -> None:
    holder.kill()
    holder.wait(timeout=30)
    make_runner(work_dir=tmp_path).train()
    assert "Another run" not in heard.text
    assert not (tmp_path / LOCK_FILE).exists()


@unix
def test_a_folder_is_free_after_a_run_and_after_a_failure(tmp_path, heard) -> None:
    def fail() -> None:
        with occupied(str(tmp_path), "a"):
            assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        fail()
    with occupied(str(tmp_path), "b"), occupied(str(tmp_path), "c"):
        pass
    assert heard.text.count("Another run trains in") == 1
    assert f"now: b, process {os.getpid()} on " in heard.text


@unix
@pytest.mark.parametrize("content", [b"", b"\xff\0", b"[]", b'{"pid": "x", "host": "h"}'])
def test_a_lock_without_a_readable_owner_is_told_too(tmp_path, heard, content) -> None:
    with occupied(str(tmp_path), "a"):
        (tmp_path / LOCK_FILE).write_bytes(content)
        with occupied(str(tmp_path), "b"):
            pass
    assert heard.text.count(f"{LOCK_FILE} there does not say which") == 1


@unix
def test_a_lock_of_a_process_whose_number_was_given_anew_is_of_a_run_that_ended(tmp_path, heard) -> None:
    with occupied(str(tmp_path), "a"):
        facts = json.loads((tmp_path / LOCK_FILE).read_text())
        (tmp_path / LOCK_FILE).write_text(json.dumps({**facts, "started": "0:0"}))
        with occupied(str(tmp_path), "b"):
            pass
    assert "Another run" not in heard.text


# --- which start is the newest ------------------------------------------------------------------------------------------


def write_scalars(folder: Path) -> Path:
    path = folder / "vis_data" / "scalars.json"
    path.parent.mkdir()
    path.write_text('{"loss": 1.0, "step": 1, "iteration": 1, "mode": "train"}\n')
    return path


def test_the_newest_start_is_the_last_one_and_not_the_latest_stamp(tmp_path) -> None:
    # The second start ran an hour "earlier": the clock went back at the end of summer time.
    first = tmp_path / claim_start(tmp_path, "20261025_025900")
    write_scalars(first)
    second = tmp_path / claim_start(tmp_path, "20261025_020100")
    newest = write_scalars(second)
    os.utime(newest, (1, 1))  # nor does the time of a copied file tell
    assert find_scalars(tmp_path) == newest


def test_starts_without_a_number_go_by_their_stamps(tmp_path) -> None:
    for stamp in ("20260101_120000", "20260101_120000_1", "20251231_120000"):
        (tmp_path / stamp).mkdir()
        write_scalars(tmp_path / stamp)
    assert find_scalars(tmp_path).parents[1].name == "20260101_120000_1"
    (tmp_path / "20260101_120000" / "start.json").write_bytes(b"\0\xff{")
    assert find_scalars(tmp_path).parents[1].name == "20260101_120000_1"
