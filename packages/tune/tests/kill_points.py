"""A sweep whose processes are killed at chosen points: ``python kill_points.py FOLDER NUM [--commands]``.

A point is a file operation in the folder of the sweep, or the start of a process. The sweep is then started again, and must
come to what a sweep without a kill comes to. By default controllers and trials are forks of one process that has imported
torch; with ``--commands`` they are ``eng sweep`` and ``python -m eng.tune._trial``. Each point prints a line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NUM_TRIALS, NUM_EPOCHS, EPOCH = 3, 3, 2  # iterations of an epoch
LR = "optim_wrapper.optimizer.lr"
SEARCHES = ("grid", "journal", "sqlite")
VICTIMS = ("controller", "trial", "all in the controller", "all in a trial")
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Point:
    """Where a kill comes.

    Args:
        search: of the sweep.
        victim: what is killed.
        trial: number of the trial whose operations count, for victims that are trials.
        share: of the operations that an undisturbed process does, before the kill.
    """

    search: str
    victim: str
    trial: int
    share: float

    @property
    def counted(self) -> str:
        """Name of the process whose operations count."""
        return "controller" if "controller" in self.victim else f"{self.trial:04d}"


def points(count: int) -> list[Point]:
    """Points that differ in search, victim and moment."""
    golden = (5**0.5 - 1) / 2
    return [
        Point(SEARCHES[i % 3], VICTIMS[(i + i // 12) % 4], (i // 2) % NUM_TRIALS, (0.5 + i * golden) % 1)
        for i in range(count)
    ]


# --- inside the processes of the sweep -----------------------------------------------------------------------------


class Counter:
    """Counts the operations of this process, and kills at one of them; once in the life of a sweep.

    Args:
        folder: of the sweep.
        kill_at: number of the operation before which the kill comes; None kills never.
        is_group: whether the process group is killed with this process.
        marker: file that says that the kill came.
    """

    def __init__(self, folder: str, kill_at: int | None, is_group: bool, marker: str) -> None:
        self.count, self._pid = 0, os.getpid()
        self._folder, self._kill_at, self._is_group, self._marker = folder, kill_at, is_group, marker
        sys.addaudithook(self._look)

    def _look(self, event: str, args: tuple[Any, ...]) -> None:
        if os.getpid() != self._pid or not self._counts(event, args):  # a fork keeps the hook of its parent
            return
        self.count += 1
        if self.count == self._kill_at and not os.path.exists(self._marker):
            os.close(os.open(self._marker, os.O_CREAT | os.O_EXCL))
            if self._is_group:
                os.killpg(0, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    def _counts(self, event: str, args: tuple[Any, ...]) -> bool:
        if event in ("subprocess.Popen", "os.fork", "sqlite3.connect"):
            return True
        if event not in ("open", "os.rename", "os.mkdir", "os.remove", "os.truncate"):
            return False
        path = str(args[0])
        if self._folder not in path or path.endswith(".lock"):
            return False
        return event != "open" or bool((args[2] or 0) & (os.O_WRONLY | os.O_RDWR))


def arm(plan: dict[str, Any], name: str) -> Counter:
    """Begins to count in a process of the sweep."""
    kill_at = plan["kill_at"] if plan["counted"] == name else None
    return Counter(plan["folder"], kill_at, plan["is_group"], plan["marker"])


def note_count(plan: dict[str, Any], name: str, counter: Counter) -> None:
    """Keeps how many operations a process did."""
    Path(plan["counts"], name).write_text(str(counter.count))


# --- starting a controller -----------------------------------------------------------------------------------------


def search_of(name: str, folder: Path) -> Any:
    from eng.tune import Grid, OptunaSearch

    if name == "grid":
        return Grid()
    if name == "journal":  # each point follows from the results before it
        return OptunaSearch(NUM_TRIALS, sampler_args={"n_startup_trials": 1})
    return OptunaSearch(NUM_TRIALS, sampler="RandomSampler", storage=f"sqlite:///{folder}/study.db")


def space_of(name: str) -> dict[str, Any]:
    from eng.tune import Float

    return {LR: [0.1, 0.5, 0.3]} if name == "grid" else {LR: Float(1e-2, 1.0, log=True)}


def jobs_of(name: str) -> int:
    return 1 if name == "journal" else 2


class Forks:
    """Trains each run in a fork of the controller."""

    def __init__(self, plan: dict[str, Any], jobs: int) -> None:
        self.capacity = jobs
        self._plan = plan
        self._jobs: list[_Fork] = []

    def start(self, run: Any) -> Any:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _close_lock_of_controller()
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_DFL)
                status = in_fork(run.folder / "trial.log", lambda: self._train(run))
            finally:
                os._exit(status)
        self._jobs.append(_Fork(pid))
        return self._jobs[-1]

    def _train(self, run: Any) -> int:
        from eng.tune._trial import main

        counter = arm(self._plan, run.name)
        status = main(str(run.folder))
        note_count(self._plan, run.name, counter)
        return status

    def attach(self, run: Any) -> Any:
        from eng.tune._executors import LocalExecutor

        return LocalExecutor.attach(self, run)  # type: ignore[arg-type]  # it asks for the run's lock alone

    def close(self) -> None:
        for job in self._jobs:
            if job.status() is None:
                job.stop()


def _close_lock_of_controller() -> None:
    """A command closes it when it starts; a fork has to do it itself."""
    for entry in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{entry}").endswith("/.controller.lock"):
                os.close(int(entry))


class _Fork:
    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._status: int | None = None

    def status(self) -> int | None:
        if self._status is None:
            pid, code = os.waitpid(self._pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(code) if pid else None
        return self._status

    def stop(self) -> None:
        os.kill(self._pid, signal.SIGTERM)


def in_fork(log: Path, work: Any) -> int:
    """Does the work of a fork with its output in a file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        return int(work())
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1


def fork_controller(plan: dict[str, Any], search: str) -> int:
    """A controller in a fork with a process group of its own; its exit status, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setsid()
            status = in_fork(Path(plan["home"], "controller.log"), lambda: control(plan, search))
        finally:
            os._exit(status)
    return waited(pid)


def waited(pid: int) -> int:
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(code)
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    raise TimeoutError(f"the controller works for more than {TIMEOUT_S} s")


def control(plan: dict[str, Any], search: str) -> int:
    from eng.tune import sweep

    counter = arm(plan, "controller")
    folder = Path(plan["folder"])
    sweep(
        Path(plan["home"], "toy.py"), space_of(search), metric="distance", mode="min", folder=folder,
        search=search_of(search, Path(plan["home"])), executor=Forks(plan, jobs_of(search)),
    )  # fmt: skip
    note_count(plan, "controller", counter)
    return 0


SITE = """
import atexit, json, os, sys
sys.path.append(os.environ["KILL_POINTS"])
import kill_points
plan = json.loads(os.environ["KILL_PLAN"])
words = sys.orig_argv
if "eng.tune._trial" in words or any(word.endswith("bin/eng") for word in words):
    name = os.path.basename(words[-1]) if "eng.tune._trial" in words else "controller"
    counter = kill_points.arm(plan, name)
    atexit.register(kill_points.note_count, plan, name, counter)
"""


def command_controller(plan: dict[str, Any], search: str) -> int:
    """``eng sweep`` in a process group of its own; its exit status."""
    home = Path(plan["home"])
    (home / "site").mkdir(exist_ok=True)
    (home / "site/sitecustomize.py").write_text(SITE)
    options = {
        "grid": ["--grid", f"{LR}=0.1,0.5,0.3"],
        "journal": ["--optuna", NUM_TRIALS, "--sampler-args", '{"n_startup_trials": 1}'],
        "sqlite": ["--optuna", NUM_TRIALS, "--sampler", "RandomSampler", "--storage", f"sqlite:///{home}/study.db"],
    }[search]
    if search != "grid":
        options += ["--space", f"{LR}=loguniform(1e-2,1.0)"]
    eng = Path(sys.executable).with_name("eng")
    words = [eng, "sweep", home / "toy.py", "--metric", "distance", "--mode", "min", "--dir", plan["folder"],
             "--jobs", jobs_of(search), *options]  # fmt: skip
    path = os.pathsep.join([str(home / "site"), str(HERE), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "KILL_POINTS": str(HERE), "KILL_PLAN": json.dumps(plan), "PYTHONPATH": path}
    with (home / "controller.log").open("ab") as log:
        process = subprocess.Popen([*map(str, words)], stdout=log, stderr=log, env=env, start_new_session=True)
    try:
        return process.wait(TIMEOUT_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


# --- what must hold ------------------------------------------------------------------------------------------------


def plan_of(home: Path, point: Point | None, kill_at: int | None) -> dict[str, Any]:
    home.mkdir(parents=True)
    (home / "counts").mkdir()
    from sweep_parts import CONFIG

    text = CONFIG.format(work_dir=str(home / "work"), epochs=NUM_EPOCHS, pause_s=0.0)
    (home / "toy.py").write_text(text)
    return {
        "home": str(home), "folder": str(home / "sweep"), "counts": str(home / "counts"), "marker": str(home / "killed"),
        "kill_at": kill_at, "counted": point.counted if point else "", "is_group": bool(point and "all" in point.victim),
    }  # fmt: skip


def outcome(folder: Path) -> dict[str, Any]:
    """What a sweep came to, where it does not depend on the folder's path."""
    from eng.tune import load_sweep

    report = load_sweep(folder)
    trials = {
        number: (trial.state, trial.params, [run.result.values for run in trial.runs if run.result])
        for number, trial in report.trials.items()
    }
    assert report.best is not None
    return {"trials": trials, "best": report.best.number, "best.py": (folder / "best.py").read_text()}


def sessions(folder: Path) -> list[tuple[int, list[int]]]:
    """For each process that trained the run: the iteration at which it began, and those that it did."""
    lines = (folder / "diary.txt").read_text().splitlines()
    processes: list[tuple[int, list[int]]] = []
    for event, number, *_ in map(str.split, lines):
        if event == "start":
            processes.append((int(number), []))
        else:
            processes[-1][1].append(int(number))
    return processes


def check_sessions(folder: Path, most: int) -> int:
    """Each process went on from a checkpoint that lost at most an epoch; the number of processes."""
    end, reached = NUM_EPOCHS * EPOCH, 0
    ran = sessions(folder)
    for begin, steps in ran:
        assert steps == list(range(begin, begin + len(steps))), (folder, ran)  # no two processes at a time
        assert begin % EPOCH == 0, (folder, ran)
        assert begin >= reached // EPOCH * EPOCH - EPOCH, (folder, ran)
        reached = begin + len(steps)
    assert reached == end, (folder, ran)
    assert len(ran) <= most, (folder, ran)
    return len(ran)


def check_study(search: str, home: Path) -> None:
    if search == "grid":
        return
    import optuna

    from eng.tune._optuna import open_storage

    url = str(home / "sweep/optuna.log") if search == "journal" else f"sqlite:///{home}/study.db"
    study = optuna.load_study(study_name="sweep", storage=open_storage(url))
    states = [trial.state.name for trial in study.trials]
    assert states.count("COMPLETE") == NUM_TRIALS, states
    assert set(states) <= {"COMPLETE", "FAIL"}, states
    assert states.count("FAIL") <= 1, states  # drawn, and not marked before the kill


def check_point(point: Point, reference: dict[str, Any], num_operations: int, home: Path, start: Any) -> str:
    """Kills a sweep at a point, starts it again and compares; a line that says what happened."""
    kill_at = max(1, round(point.share * 0.9 * num_operations))
    plan = plan_of(home, point, kill_at)
    status = start(plan, point.search)
    assert Path(plan["marker"]).exists(), (point, "no kill")
    begun = len(list((home / "sweep/trials").glob("*/result.json")))
    if point.victim == "trial":
        assert status == 0, (point, status, (home / "controller.log").read_text()[-2000:])
    else:
        assert status == -signal.SIGKILL, (point, status)
        status = start(plan, point.search)
        assert status == 0, (point, status, (home / "controller.log").read_text()[-2000:])
    assert outcome(home / "sweep") == reference, point
    most = {
        number: 2 if "all" in point.victim or (point.victim == "trial" and number == point.trial) else 1
        for number in range(NUM_TRIALS)
    }
    ran = [check_sessions(home / f"sweep/trials/{number:04d}", most[number]) for number in range(NUM_TRIALS)]
    check_study(point.search, home)
    return (
        f"{point.search}: killed {point.victim} at operation {kill_at} of {num_operations} ({point.counted}), {begun} trials "
        f"over; processes of the trials: {ran}; the same best"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("num", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--commands", action="store_true")
    options = parser.parse_args()
    options.folder = options.folder.resolve()  # the processes compare paths with it
    sys.path.insert(0, str(HERE))
    start = command_controller if options.commands else fork_controller
    import optuna  # noqa: F401  # once for all forks
    import sqlalchemy.dialects.sqlite  # noqa: F401
    import torch._dynamo  # noqa: F401  # the first optimizer of a process imports it
    import tune_toys  # noqa: F401

    import eng.runner
    import eng.tune._trial  # noqa: F401

    references: dict[str, tuple[dict[str, Any], dict[str, int]]] = {}
    for index, point in list(enumerate(points(options.num)))[options.first :]:
        begin = time.monotonic()
        if point.search not in references:
            home = options.folder / "run"  # the same for all: the seed of a shared storage follows from the folder
            plan = plan_of(home, None, None)
            assert start(plan, point.search) == 0, (home / "controller.log").read_text()[-3000:]
            for number in range(NUM_TRIALS):
                check_sessions(home / f"sweep/trials/{number:04d}", 1)
            counts = {path.name: int(path.read_text()) for path in (home / "counts").iterdir()}
            references[point.search] = outcome(home / "sweep"), counts
            shutil.rmtree(home)
        reference, counts = references[point.search]
        home = options.folder / "run"
        line = check_point(point, reference, counts[point.counted], home, start)
        shutil.rmtree(home)
        print(f"{index + 1:2d} {line} ({time.monotonic() - begin:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
