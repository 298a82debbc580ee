"""A test case whose tests run in several processes at once."""

from __future__ import annotations

import faulthandler
import functools
import multiprocessing
import os
import sys
import tempfile
import traceback
import unittest
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple


class TestSkip(NamedTuple):
    """Exit status by which a process reports that its test was skipped.

    Args:
        exit_code: the exit status.
        message: reason for skipping the test.
    """

    exit_code: int
    message: str


TEST_SKIPS = {
    "backend_unavailable": TestSkip(10, "Skipped because distributed backend is not available."),
    "no_cuda": TestSkip(11, "CUDA is not available."),
    "multi-gpu-2": TestSkip(12, "Need at least 2 CUDA device"),
    "generic": TestSkip(13, "Test skipped at subprocess level, look at subprocess log for skip reason"),
}


class MultiProcessTestCase(unittest.TestCase):
    """Runs each test method in ``world_size`` processes; the main process waits for them and checks the exit statuses.

    A subclass calls ``_spawn_processes()`` at the end of its ``setUp``.

    Attributes:
        rank: rank of this process; :attr:`MAIN_PROCESS_RANK` in the main process.
        file_name: path of an empty file, which the processes can use to create a process group.
    """

    MAIN_PROCESS_RANK = -1
    TEST_ERROR_EXIT_CODE = 10

    # unittest passes the name of the test as `methodName`.
    def __init__(self, method_name: str = "runTest", methodName: str = "runTest") -> None:
        name = methodName if methodName != "runTest" else method_name
        super().__init__(name)
        test = getattr(self, name, None)
        if test is not None:
            setattr(self, name, self.join_or_run(test))

    @property
    def world_size(self) -> int:
        """Number of processes that run a test."""
        return 2

    @property
    def timeout(self) -> float:
        """Seconds after which a test fails if its processes have not ended."""
        return 1000

    @property
    def is_master(self) -> bool:
        """Whether this is the process of rank 0."""
        return self.rank == 0

    def prepare_subprocess(self) -> None:
        """Called in each process before the test; subclasses may override it."""

    def join_or_run(self, fn: Callable[[], Any]) -> Callable[[], None]:
        """Returns a function that runs the test in a child process, and waits for all children in the main process."""

        @functools.wraps(fn)
        def wrapper() -> None:
            if self.rank == self.MAIN_PROCESS_RANK:
                self._join_processes(fn)
            else:
                fn()

        return wrapper

    def setUp(self) -> None:
        """Creates the empty file by which the processes of the test can create a process group."""
        super().setUp()
        self.processes: list[Any] = []
        self.pid_to_pipe: dict[int | None, Connection] = {}
        self.rank = self.MAIN_PROCESS_RANK
        descriptor, self.file_name = tempfile.mkstemp()
        os.close(descriptor)

    def tearDown(self) -> None:
        """Terminates processes that are still running and removes the shared file."""
        super().tearDown()
        for process in self.processes:
            process.terminate()
        Path(self.file_name).unlink(missing_ok=True)

    def _current_test_name(self) -> str:
        return self.id().rpartition(".")[2]

    def _spawn_processes(self) -> None:
        self._start_processes(multiprocessing.get_context("spawn").Process)

    def _start_processes(self, proc: Callable[..., Any]) -> None:
        """Starts the processes that run the current test, each with a pipe to the main process.

        Args:
            proc: the class of the processes, such as ``multiprocessing.Process``.
        """
        for rank in range(int(self.world_size)):
            here, there = multiprocessing.Pipe()
            process = proc(
                target=type(self)._run,  # noqa: SLF001  # a class method of the same class
                name=f"process {rank}",
                args=(rank, self._current_test_name(), self.file_name, there),
            )
            process.start()
            self.processes.append(process)
            self.pid_to_pipe[process.pid] = here

    @classmethod
    def _run(cls, rank: int, test_name: str, file_name: str, parent_pipe: Connection) -> None:
        """The main function of each child process: creates the test case there and runs the test."""
        test = cls(test_name)
        test.rank = rank
        test.file_name = file_name
        test.run_test(test_name, parent_pipe)

    def run_test(self, test_name: str, parent_pipe: Connection) -> None:
        """Runs the test in a child process and exits with the status of the test."""
        self.prepare_subprocess()
        faulthandler.enable()
        try:
            getattr(self, test_name)()
        except unittest.SkipTest as skip:
            sys.stderr.write(f"Process {self.rank} skips {test_name}: {skip}\n")
            sys.exit(TEST_SKIPS["generic"].exit_code)
        except Exception:  # noqa: BLE001  # every failure of the test is reported to the main process
            parent_pipe.send(traceback.format_exc())
            sys.exit(self.TEST_ERROR_EXIT_CODE)
        finally:
            parent_pipe.close()

    def _join_processes(self, fn: Callable[[], Any]) -> None:
        """Waits for all processes and checks their exit statuses.

        Raises:
            RuntimeError: a process ended with an error, or did not end in time.
            unittest.SkipTest: the processes skipped the test.
        """
        for process in self.processes:
            process.join(self.timeout)
        late = [rank for rank, process in enumerate(self.processes) if process.exitcode is None]
        if late:
            raise RuntimeError(f"the processes {late} did not end within {self.timeout} seconds")
        self._check_no_test_errors()
        self._check_return_codes()

    def _check_no_test_errors(self) -> None:
        """Raises RuntimeError with the traceback of a process whose test raised an exception."""
        for rank, process in enumerate(self.processes):
            pipe = self.pid_to_pipe[process.pid]
            if process.exitcode == self.TEST_ERROR_EXIT_CODE and pipe.poll():
                raise RuntimeError(f"Process {rank} failed:\n{pipe.recv()}")

    def _check_return_codes(self) -> None:
        """Checks that all processes have ended with the same exit status.

        Raises:
            RuntimeError: the exit statuses differ, or are an error.
            unittest.SkipTest: the exit status says that the test was skipped.
        """
        codes = [process.exitcode for process in self.processes]
        if len(set(codes)) != 1:
            raise RuntimeError(f"the processes ended with different exit statuses: {codes}")
        for skip in TEST_SKIPS.values():
            if codes and codes[0] == skip.exit_code:
                raise unittest.SkipTest(skip.message)
        if codes and codes[0] != 0:
            raise RuntimeError(f"all processes ended with the exit status {codes[0]}")
