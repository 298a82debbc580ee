"""Sweeps whose points Optuna chooses, with its journal and with SQLite; see test_sweep.py for the values."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna")

from eng.tune import Float, OptunaSearch, StorageError, SweepError, load_sweep, sweep
from eng.tune._folder import Result
from eng.tune._optuna import FileLock, OptunaSearcher, cut_half_line, open_storage

LR = "optim_wrapper.optimizer.lr"
SPACE = {LR: Float(1e-3, 1.0, log=True), "model.curvature": [1.0, 2.0]}


@pytest.fixture
def inline() -> Any:
    from inline import InlineExecutor

    return InlineExecutor()


def storage(kind: str, tmp_path: Path) -> str | None:
    return {"journal": str(tmp_path / "study.log"), "sqlite": f"sqlite:///{tmp_path}/study.db", "default": None}[kind]


@pytest.mark.parametrize("kind", ["default", "journal", "sqlite"])
def test_study_holds_the_trials_with_their_values(kind: str, config: Any, inline: Any, tmp_path: Path) -> None:
    search = OptunaSearch(3, storage=storage(kind, tmp_path))
    report = sweep(
        config(epochs=1), SPACE, metric="distance", mode="min", folder=tmp_path / "s", search=search, executor=inline
    )
    url = storage(kind, tmp_path) or str(tmp_path / "s/optuna.log")
    study = optuna.load_study(study_name="s", storage=open_storage(url))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    for trial, frozen in zip(report.trials.values(), study.trials, strict=True):
        lr, curvature = trial.params[LR], trial.params["model.curvature"]
        # The training computes in float32, which leaves few digits where lr * curvature is near 1.
        assert trial.value == pytest.approx((1 - lr * curvature) ** 2, abs=1e-6)
        assert frozen.value == trial.value
        assert frozen.params[LR] == lr
    assert study.best_value == report.best.value


def test_same_points_when_the_sweep_is_continued(config: Any, inline: Any, tmp_path: Path) -> None:
    points = []
    for steps, folder in (((4,), "at_once"), ((1, 2, 4), "in_steps")):
        for count in steps:
            report = sweep(
                config(epochs=1), SPACE, metric="distance", mode="min", folder=tmp_path / folder, executor=inline,
                search=OptunaSearch(count, sampler="TPE", sampler_args={"n_startup_trials": 2}),
            )  # fmt: skip
        points.append([trial.params for trial in report.trials.values()])
    assert points[0] == points[1]


def test_pruned_run_ends_early(config: Any, inline: Any, tmp_path: Path) -> None:
    search = OptunaSearch(
        2, sampler="BruteForceSampler", pruner="ThresholdPruner", pruner_args={"upper": 0.5, "n_warmup_steps": 1}
    )
    report = sweep(
        config(epochs=5), {LR: [0.01, 0.5]}, metric="distance", mode="min", folder=tmp_path / "s", search=search,
        executor=inline,
    )  # fmt: skip
    by_lr = {trial.params[LR]: trial for trial in report.trials.values()}
    slow, fast = by_lr[0.01], by_lr[0.5]
    assert slow.state == "pruned"
    assert fast.state == "complete"
    iterations = {
        lr: [
            line.split()[1] for line in (trial.runs[0].folder / "diary.txt").read_text().splitlines() if "iter" in line
        ]
        for lr, trial in by_lr.items()
    }
    assert len(iterations[0.5]) == 10  # 5 epochs of 2 iterations
    assert len(iterations[0.01]) < 10
    assert len(slow.runs[0].result.values) * 2 == len(iterations[0.01])
    study = optuna.load_study(study_name="s", storage=open_storage(str(tmp_path / "s/optuna.log")))
    assert sorted(trial.state.name for trial in study.trials) == ["COMPLETE", "PRUNED"]


def test_failed_trial_fails_in_the_study(config: Any, inline: Any, tmp_path: Path) -> None:
    search = OptunaSearch(2, sampler="BruteForceSampler")
    report = sweep(
        config(epochs=1), {"model.broken": [False, True]}, metric="distance", mode="min", folder=tmp_path / "s",
        search=search, executor=inline,
    )  # fmt: skip
    assert sorted(trial.state for trial in report.trials.values()) == ["complete", "failed"]
    study = optuna.load_study(study_name="s", storage=open_storage(str(tmp_path / "s/optuna.log")))
    assert sorted(trial.state.name for trial in study.trials) == ["COMPLETE", "FAIL"]


def test_two_controllers_share_a_storage(config: Any, inline: Any, tmp_path: Path) -> None:
    search = OptunaSearch(3, storage=storage("journal", tmp_path), study="shared", sampler="RandomSampler")
    arguments = {"metric": "distance", "mode": "min", "executor": inline}
    first = sweep(config(epochs=1), SPACE, folder=tmp_path / "a", search=OptunaSearch(**{**vars(search), "num_trials": 2}), **arguments)  # fmt: skip
    second = sweep(config(epochs=1), SPACE, folder=tmp_path / "b", search=search, **arguments)
    assert [len(report.trials) for report in (first, second)] == [2, 1]
    study = optuna.load_study(study_name="shared", storage=open_storage(str(tmp_path / "study.log")))
    assert len({trial.params[LR] for trial in study.trials}) == 3


class Instant:
    """An executor that trains nothing: the value of a run is its learning rate."""

    capacity = 1

    def start(self, run: Any) -> Any:
        time.sleep(0.01)
        run.finish(Result("complete", run.options[LR], [run.options[LR]]))
        return self

    def attach(self, run: Any) -> None:
        return None

    def status(self) -> int:
        return 0

    def close(self) -> None:
        pass


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_controllers_that_work_at_the_same_time_share_the_trials_out(kind: str, config: Any, tmp_path: Path) -> None:
    path, url = config(epochs=1), storage(kind, tmp_path)
    open_storage(str(url))
    search = OptunaSearch(16, sampler="RandomSampler", storage=url, study="shared")

    def work(name: str) -> None:
        sweep(path, SPACE, metric="distance", mode="min", folder=tmp_path / name, search=search, executor=Instant())

    processes = [multiprocessing.get_context("fork").Process(target=work, args=(name,)) for name in ("a", "b")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
        if process.is_alive():
            process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    study = optuna.load_study(study_name="shared", storage=open_storage(str(url)))
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    trials = [load_sweep(tmp_path / name).trials for name in ("a", "b")]
    assert len(complete) == 16
    assert sum(map(len, trials)) == 16
    assert all(trials)
    drawn = [trial.params[LR] for each in trials for trial in each.values()]
    assert len(set(drawn)) == 16
    assert sorted(drawn) == sorted(trial.params[LR] for trial in complete)


def test_locked_sqlite_is_named(config: Any, inline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eng.tune._optuna._LOCK_TIMEOUT_S", 0.2)
    connection = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StorageError, match=r"the storage sqlite:///.*study.db is locked: another process writes to it"):
        sweep(
            config(), SPACE, metric="distance", mode="min", folder=tmp_path / "s", executor=inline,
            search=OptunaSearch(1, storage=storage("sqlite", tmp_path)),
        )  # fmt: skip
    assert inline.started == []
    connection.close()


def test_locked_journal_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "study.log")
    holder = FileLock(path)
    holder.acquire()
    with pytest.raises(StorageError, match="the journal .*study.log is locked by another process for more than 0.1 s"):
        FileLock(path, timeout_s=0.1).acquire()
    holder.release()
    assert FileLock(path, timeout_s=0.1).acquire()


def test_unknown_database_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the storage nosuchdb://x cannot be used"):
        open_storage("nosuchdb://x")


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b""), (b"one\ntwo\n", b"one\ntwo\n"), (b"one\ntw", b"one\n"), (b"half", b"")]
)
def test_half_line_of_a_killed_writer_is_cut(before: bytes, after: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(before)
    cut_half_line(path)
    assert path.read_bytes() == after


def test_long_half_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 5000 + b"\n" + b"y" * 9000)
    cut_half_line(path)
    assert path.read_bytes() == b"x" * 5000 + b"\n"


def test_points_of_a_killed_controller_are_recovered(tmp_path: Path) -> None:
    from eng.tune._space import as_space

    def searcher() -> OptunaSearcher:
        search = OptunaSearch(3, sampler="RandomSampler")
        return OptunaSearcher(search, as_space(SPACE), folder=tmp_path, owner="me", seed=0, mode="min")

    drawn = searcher().next_point({})  # killed before it made the folder
    assert drawn is not None
    assert searcher().recover({}) == [drawn]
    # killed between Optuna's draw and the mark of the owner: drawn again with the same values
    reference = searcher().next_point({})
    path = tmp_path / "optuna.log"
    lines = path.read_text().splitlines()
    owned = [number for number, line in enumerate(lines) if "eng.owner" in json.dumps(json.loads(line))]
    path.write_text("\n".join(lines[: owned[-1]]) + "\n")
    (tmp_path / ".asking").write_text("1")
    again = searcher()
    assert again.recover({}) == [drawn]
    repeated = again.next_point({})
    assert reference is not None
    assert repeated is not None
    assert (repeated.number, repeated.params) == (reference.number, reference.params)
    assert repeated.extra == {"optuna": 2}


def test_study_of_the_other_direction_is_refused(tmp_path: Path) -> None:
    from eng.tune._space import as_space

    arguments = {"folder": tmp_path, "owner": "me", "seed": 0}
    OptunaSearcher(OptunaSearch(1), as_space(SPACE), mode="min", **arguments)
    with pytest.raises(SweepError, match="does not maximize; use another --study"):
        OptunaSearcher(OptunaSearch(1), as_space(SPACE), mode="max", **arguments)
