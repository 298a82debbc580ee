"""Executors, which start the runs of a sweep as local processes, on a Slurm cluster or on a Ray cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ._folder import Run, read_json, write_json
from .errors import SweepError

__all__ = ["Executor", "Job", "LocalExecutor", "RayExecutor", "SubmititExecutor"]

LOG = "trial.log"
_JOB = "job.json"
_ANSWER_S = 5.0


class Job(Protocol):
    """Handle of a started run, which tells whether the run is still working and can end the run."""

    def status(self) -> int | None:
        """Returns None while the run is working, afterwards its exit status."""

    def stop(self) -> None:
        """Ends the run, unless the run can continue after the controller process has ended, as on a cluster."""


class Executor(Protocol):
    """Starts runs, at most `capacity` at a time."""

    capacity: int

    def start(self, run: Run) -> Job:
        """Starts the training of a run."""

    def attach(self, run: Run) -> Job | None:
        """Returns a handle if a run that an earlier controller process started is still working; otherwise None."""


class _Occupied:
    """Handle of a run that an earlier controller started and whose process is still working.

    The exit status of such a process cannot be read, so `status` is 0 as soon as no process holds the run's lock.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def status(self) -> int | None:
        return None if self._run.is_occupied() else 0

    def stop(self) -> None:
        pass


class _Process:
    """Handle of a run that works in a child process; `give_back` is called once when the process has ended."""

    def __init__(self, process: subprocess.Popen[bytes], give_back: Callable[[], None]) -> None:
        self._process = process
        self._give_back: Callable[[], None] | None = give_back

    def status(self) -> int | None:
        status = self._process.poll()
        if status is not None and self._give_back is not None:
            self._give_back()
            self._give_back = None
        return status

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> None:
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class LocalExecutor:
    """Starts the runs of a sweep as processes on this machine.

    Args:
        jobs: number of runs at a time.
        devices: indices of the accelerators to use, distributed evenly over the runs; each run sees only its own
            accelerators. None (default) makes all accelerators visible to every run.
        env: additional environment variables of the runs.

    Raises:
        SweepError: there are fewer devices than jobs.
    """

    def __init__(
        self, jobs: int = 1, devices: Sequence[int | str] | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        if jobs < 1:
            raise SweepError(f"--jobs must be at least 1, got {jobs}")
        if devices is not None and len(devices) < jobs:
            raise SweepError(f"{jobs} runs at a time need {jobs} devices, got {len(devices)}")
        self.capacity = jobs
        self._env = dict(env or {})
        self._shares = [list(devices[index::jobs]) if devices is not None else None for index in range(jobs)]
        self._processes: list[_Process] = []

    def start(self, run: Run) -> Job:
        """Starts a process for a run; its output is written to ``trial.log`` in the run's folder."""
        share = self._shares.pop(0)
        env = {**os.environ, **self._env}
        if share is not None:
            env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, share))
        command = [sys.executable, "-m", "eng.tune._trial", str(run.folder)]
        with (run.folder / LOG).open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  # the command starts a module of this package
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )
        job = _Process(process, lambda: self._shares.append(share))
        self._processes.append(job)
        return job

    def attach(self, run: Run) -> Job | None:
        """Returns a handle if a process of an earlier controller is still training the run; otherwise None."""
        return _Occupied(run) if run.is_occupied() else None

    def close(self, timeout_s: float = 30.0) -> None:
        """Asks the processes of all runs to save a checkpoint and exit; kills those that need more than `timeout_s`."""
        for job in self._processes:
            job.stop()
        end = time.monotonic() + timeout_s
        for job in self._processes:
            job.wait(max(end - time.monotonic(), 0.1))


class SubmititExecutor:
    """Starts runs as jobs of a Slurm cluster by the library submitit; the jobs continue if the controller ends.

    Args:
        folder: folder of the sweep.
        jobs: number of runs at a time.
        cluster: ``"slurm"``, ``"local"`` (local processes, for tests) or None (default: Slurm if it is installed).
        parameters: arguments of ``submitit.AutoExecutor.update_parameters``, such as
            ``dict(slurm_partition="gpu", timeout_min=60)``.

    Raises:
        SweepError: submitit is not installed, or does not accept the parameters.
    """

    def __init__(
        self, folder: Path, jobs: int = 1, cluster: str | None = None, parameters: Mapping[str, Any] | None = None
    ) -> None:
        try:
            import submitit
        except ImportError as error:
            raise SweepError("--submitit needs submitit: pip install submitit") from error
        self.capacity = jobs
        self._logs = folder.resolve() / "submitit"
        try:
            self._executor = submitit.AutoExecutor(folder=self._logs, cluster=cluster)
            self._executor.update_parameters(**{"name": "eng-sweep", **(parameters or {})})
        except (RuntimeError, NameError, TypeError, ValueError, AssertionError) as error:
            raise SweepError(f"submitit: {error}") from error
        classes = {"slurm": submitit.SlurmJob, "local": submitit.LocalJob, "debug": submitit.DebugJob}
        self._job_class = classes[self._executor.cluster]

    def start(self, run: Run) -> Job:
        """Submits a job and stores its number in the run's folder."""
        from ._trial import main

        job = self._executor.submit(main, str(run.folder))
        write_json(run.folder / _JOB, {"id": job.job_id})
        return _Submitted(job, run)

    def attach(self, run: Run) -> Job | None:
        """Returns a handle of the job that an earlier controller submitted for the run; None if no such job is open."""
        data = read_json(run.folder / _JOB)
        if data is None:
            return None
        submitted = _Submitted(self._job_class(folder=self._logs, job_id=data["id"]), run)
        return submitted if submitted.status() is None else None

    def close(self) -> None:
        """Does nothing: the submitted jobs continue on the cluster, and the next controller finds them by `attach`."""


class _Submitted:
    def __init__(self, job: Any, run: Run) -> None:
        self._job, self._run = job, run

    def status(self) -> int | None:
        """Returns None while the job is queued or running, afterwards its exit status.

        For a local job that another process submitted, submitit reports that the job is done although it is running.
        Therefore the job also counts as running while a process holds the run's lock.
        """
        if not self._job.done() or self._run.is_occupied():
            return None
        # A killed job has written no result file. submitit would wait 15 s for this file, so 1 is returned here.
        if not self._job.paths.result_pickle.exists():
            return 1
        return int(self._job.result()) if self._job.exception() is None else 1

    def stop(self) -> None:
        pass


class RayExecutor:
    """Starts runs as tasks of a Ray cluster, whose nodes must share the file system with the sweep's folder.

    Args:
        address: address of the cluster; ``"local"`` starts a cluster on this machine.
        jobs: number of runs at a time.
        resources: resources of a run for Ray's scheduler, such as ``num_cpus`` and ``num_gpus``.

    Raises:
        SweepError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str, jobs: int = 1, resources: Mapping[str, Any] | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise SweepError("--ray needs Ray: pip install 'ray[default]'") from error
        self.capacity = jobs
        self._ray = ray
        if not ray.is_initialized():
            _check_address(address)
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise SweepError(f"there is no Ray cluster at {address!r}: {error}") from error
        settings = {"max_retries": 0, **(resources or {})}
        self._task = ray.remote(**settings)(run_command)

    def start(self, run: Run) -> Job:
        """Submits a Ray task, which starts the process of the run on a node that Ray chooses."""
        return _Task(self._ray, self._task.remote(str(run.folder), str(Path.cwd())))

    def attach(self, run: Run) -> Job | None:
        """Returns a handle if a process of an earlier controller is still training the run; otherwise None."""
        return _Occupied(run) if run.is_occupied() else None

    def close(self) -> None:
        """Disconnects from the cluster. Ray then ends the tasks; the next controller resumes the runs."""
        self._ray.shutdown()


def _check_address(address: str) -> None:
    """Checks that a server answers at an address HOST:PORT; without this check Ray would try to connect for minutes.

    An address without a port, such as ``"local"`` or ``"auto"``, is not checked.

    Raises:
        SweepError: no server answers.
    """
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise SweepError(f"there is no Ray cluster at {address!r}: {error}") from error


class _Task:
    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def status(self) -> int | None:
        """Returns None while the Ray task is waiting or running, afterwards the exit status of the run.

        An error that Ray reports, such as a lost node, gives 1.
        """
        ready, _ = self._ray.wait([self._reference], timeout=0)
        if not ready:
            return None
        try:
            return int(self._ray.get(self._reference))
        except self._ray.exceptions.RayError:
            return 1

    def stop(self) -> None:
        self._ray.cancel(self._reference)


def run_command(folder: str, working_dir: str) -> int:
    """Trains a run in a new process, waits for it and returns its exit status; called by a Ray task.

    Args:
        folder: folder of the run.
        working_dir: working directory of the controller, to which relative paths in the config refer.
    """
    command = [sys.executable, "-m", "eng.tune._trial", folder]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    with (Path(folder) / LOG).open("ab") as log:
        env = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, stdout=log, stderr=log, cwd=working_dir, env=env, check=False)  # noqa: S603  # a module of this package
    return done.returncode
