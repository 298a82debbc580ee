"""The watch of one rank: a thread that polls the job's key-value store twice a second.

- If a rank fails, it stores its traceback; the other ranks read it and stop within five seconds.
- If a collective waits longer than the budget, every rank reports its stack.
- If the launcher of a rank has ended, the rank stops as if another rank had failed.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import json
import logging
import os
import socket
import sys
import threading
import time
import traceback
import weakref
from typing import Any

import torch.distributed as torch_dist
from torch.distributed import ProcessGroup

from eng.dist._callers import public_call
from eng.dist._stores import prefixed
from eng.dist.errors import LauncherLostError, PeerFailedError
from eng.dist.watch._handlers import FaultHook, WakeHandler, wake_main_thread
from eng.dist.watch._launcher import launcher_pid
from eng.dist.watch._stacks import stacks

logger = logging.getLogger(__name__)

_POLL_S = 0.5
# Another rank has failed: seconds that the main thread of this rank has to return from native code before the watch
# kills the process. _GRACE_S + _POLL_S must stay below five seconds, in which the documentation promises the end.
_GRACE_S = 2.0
_ANSWER_S = 3.0  # Seconds that the other ranks have to report their stacks after a collective has hung.
# Seconds that a failed rank waits before it exits, so that the other ranks can read its report. The failed rank may be
# the one that serves the store with the report.
_LEAVE_S = 3.0
# Parts of the messages by which gloo, NCCL and TCP report that the connection to another rank is broken.
_BROKEN_CONNECTION = ("onnection", "ocket", "roken pipe", "NCCL", "aborted", "imed out", "peer")

_LOST_PEER = """rank %d: %s, called at %s, broke off, as the connection to another rank did (%s).
Either that rank died without a last message (killed, or out of memory), or the ranks called different collectives: one has
more batches than another, or calls a collective that the others do not. ENG_DIST_DEBUG=1 compares all calls and names the line"""


def hang_budget_s() -> float:
    """Returns the seconds that a collective may wait before the watch logs the stacks of all ranks.

    The seconds are those of the environment variable ``ENG_DIST_HANG_SECONDS``, or 300 if the variable is not set.
    """
    return float(os.environ.get("ENG_DIST_HANG_SECONDS", "300"))


class Watch:
    """Exchanges failures between this rank and the others in a thread, and logs all stacks if a collective hangs.

    Args:
        store: the job's key-value store, used by the main thread; the thread of the watch opens its own connection.
        group: the process group of all processes; the watch ends when the group is destroyed.
        budget_s: seconds that a collective may wait before the stacks of all ranks are logged; None uses
            `hang_budget_s`.

    Attributes:
        waiting: name of the collective or watched block in which the main thread waits, and its start time on the
            monotonic clock; None if the main thread does not wait.
        fault: the failure of another rank or of the launcher; None if none is known.
    """

    def __init__(self, store: Any, group: ProcessGroup, budget_s: float | None = None) -> None:
        rank, size = torch_dist.get_rank(group), torch_dist.get_world_size(group)
        # If the job destroys its process group and creates another one, the watch of the second group uses another
        # prefix in the store, so that it does not read failures of the first group.
        attempt = store.add(f"eng/watching/{rank}", 1)
        self.store = prefixed(f"eng/watch/{attempt}", store)
        self._link = prefixed(f"eng/watch/{attempt}", store.clone())
        self.rank, self.size, self._group = rank, size, weakref.ref(group)
        self.host = socket.gethostname()
        self.store.set(f"host/{rank}", self.host)
        self.budget_s = hang_budget_s() if budget_s is None else budget_s
        self.waiting: tuple[str, float] | None = None
        self.fault: PeerFailedError | LauncherLostError | None = None
        self._reported_wait: tuple[str, float] | None = None
        self._num_reports = 0
        self._stop, self._delivered = threading.Event(), threading.Event()
        self._is_counted_as_closed = self._has_left = False
        self._failed_at: float | None = None  # Time at which this rank failed, or learned that another rank failed.
        self._thread = threading.Thread(target=self._run, name="eng-dist-watch", daemon=True)
        self._has_handler = False
        self._launcher_pid = launcher_pid(os.environ)

    def start(self) -> None:
        """Starts the thread that looks for failed ranks, and installs its exception hook and its signal handler."""
        FaultHook.install(self)
        self._has_handler = WakeHandler.install(self)
        if not faulthandler.is_enabled() and sys.__stderr__ is not None:
            # gloo aborts the process if ranks send tensors of different sizes. Python's fault handler then prints the
            # stacks, which show the collective.
            faulthandler.enable(sys.__stderr__)
        # Exit functions run in reverse order: registered now, `stop` runs before torch closes the store.
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Stops the watch at the regular end of the program.

        Rank 0 may serve the store by which ranks learn of failures, so rank 0 waits briefly until the other ranks have
        stopped too.
        """
        if self._has_left:
            return
        self._has_left = True
        self._stop.set()
        atexit.unregister(self.stop)
        self._thread.join(_POLL_S + _ANSWER_S)
        with contextlib.suppress(RuntimeError):
            self._leave()

    def raise_if_failed(self) -> None:
        """Raises the failure of another rank or of the launcher, if one is known.

        Raises:
            PeerFailedError: another rank failed.
            LauncherLostError: the launcher process has ended.
        """
        if self.fault is not None:
            self._delivered.set()
            raise self.fault

    def raise_once(self) -> None:
        """Raises the known failure of another rank or of the launcher, unless it has been raised before."""
        if not self._delivered.is_set():
            self.raise_if_failed()

    def fault_behind(self, error: RuntimeError) -> PeerFailedError | LauncherLostError | None:
        """Returns the failure of another rank, or of the launcher, that caused a broken connection.

        If `error` reports a broken connection, this method waits up to two seconds for a report of the failure. The
        result is None if no report comes, or if `error` does not report a broken connection.
        """
        if not any(text in str(error) for text in _BROKEN_CONNECTION):
            return None
        self._explain(error)
        deadline = time.monotonic() + _GRACE_S
        while self.fault is None and time.monotonic() < deadline:
            time.sleep(_POLL_S / 5)
        self._delivered.set()
        return self.fault

    def _explain(self, error: RuntimeError) -> None:
        """Logs in which collective the connection to another rank broke, unless the failure of that rank is known.

        The message is logged before the watch waits for a report, because the launcher may kill this process meanwhile.
        """
        if self.fault is not None or self._is_published():
            return
        name, line = public_call()
        name = self.waiting[0] if self.waiting else name
        logger.error(_LOST_PEER, self.rank, name, line, str(error).splitlines()[0])
        if left := self._left():
            logger.error("ranks that have left the run in good order: %s", left)

    def _is_published(self) -> bool:
        with contextlib.suppress(RuntimeError):
            return bool(self.store.check(["fault"]))
        return False

    def publish(self, error: BaseException) -> None:
        """Reports the failure of this rank to the other ranks, and waits until they have read it, at most 3 seconds."""
        if isinstance(error, (PeerFailedError, LauncherLostError)) or self._has_left:
            return
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._failed_at = time.monotonic()
        with contextlib.suppress(RuntimeError):
            self.store.compare_set("fault", "", json.dumps({"rank": self.rank, "traceback": text, "host": self.host}))
            deadline = self._failed_at + _LEAVE_S
            while self.store.add("heard", 0) < self.size - 1 and time.monotonic() < deadline:
                time.sleep(_POLL_S / 10)

    def _run(self) -> None:
        """The main function of the watch's thread: polls the key-value store and the launcher until the watch ends."""
        # The methods of the store raise a RuntimeError after the process that serves the store has ended. The second
        # loop below then replaces the first one.
        with contextlib.suppress(RuntimeError):
            is_closing = False
            while not is_closing and not self._stop.wait(_POLL_S) and self._goes_on():
                self._look_for_launcher()
                # "closing" (rank 0 is about to end) must be read before `_poll` reads "fault": if rank 0 ends because
                # of a failure, the last poll must still see the failure.
                is_closing = self._link.check(["closing"])
                self._poll()
            if not self._stop.is_set():
                self._link.add("closed", 1)
                self._is_counted_as_closed = True
        # The store is closed, for example because torchrun's agent, which serves the store, was killed. The launcher
        # is still watched, so that this rank stops if its launcher is gone.
        while not self._stop.wait(_POLL_S) and self._goes_on():
            self._look_for_launcher()

    def _look_for_launcher(self) -> None:
        """Makes this rank stop if the launcher process that started it has ended."""
        if self._launcher_pid is not None and os.getppid() != self._launcher_pid:
            self._deliver(LauncherLostError(self.rank, self._launcher_pid))

    def _goes_on(self) -> bool:
        """Whether the watch is still needed: its process group exists and no failure is known."""
        is_present = torch_dist.is_initialized() and torch_dist.group.WORLD is self._group()
        return is_present and self.fault is None

    def _poll(self) -> None:
        """Reads the store once, and makes this rank stop if another rank has failed, or report its stacks on request.

        If a collective of this rank waits longer than the time limit, this rank requests the stacks of all ranks.
        """
        if self._link.check(["fault"]):
            fault = json.loads(self._link.get("fault"))
            if fault["rank"] != self.rank:
                self._deliver(PeerFailedError(fault["rank"], fault["traceback"], fault["host"]))
                return
        waiting = self.waiting
        if waiting and waiting != self._reported_wait and time.monotonic() - waiting[1] > self.budget_s:
            self._link.compare_set(f"stacks/{self._num_reports + 1}", "", str(self.rank))
        if self._link.check([f"stacks/{self._num_reports + 1}"]):
            self._report_stacks()

    def _deliver(self, fault: PeerFailedError | LauncherLostError) -> None:
        """Makes the main thread of this rank raise a failure of another rank or of the launcher.

        A signal interrupts the main thread. If the main thread does not raise the failure in time, because it is stuck
        in native code, the process is killed. Without a signal handler, the next collective raises the failure.
        """
        self.fault, self._failed_at = fault, time.monotonic()
        if isinstance(fault, PeerFailedError):
            self._link.add("heard", 1)
            logger.error("rank %d on %s failed; rank %d stops too", fault.rank, fault.host, self.rank)
        if not self._has_handler:
            return
        deadline = time.monotonic() + _GRACE_S
        # The signal is sent repeatedly: a signal that arrives just before the main thread starts a blocking system call
        # does not interrupt this call.
        wake_main_thread()
        while not self._delivered.wait(_POLL_S / 10) and not self._stop.is_set():
            if time.monotonic() > deadline:
                self._end_process(fault)
            wake_main_thread()

    def _end_process(self, fault: PeerFailedError | LauncherLostError) -> None:
        """Kills this process, because its main thread is stuck in native code; prints the stacks before."""
        # Native code, such as a collective that waits for a rank that has ended, can only be stopped with the process.
        logger.critical("rank %d is stuck in native code and is ended now; %s", self.rank, fault)
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        with contextlib.suppress(RuntimeError):
            self._link.add("closed", 1)
        os._exit(1)

    def _report_stacks(self) -> None:
        """Stores the stacks of this rank; on the rank that requested the stacks, logs those of all ranks."""
        self._num_reports += 1
        self._reported_wait = self.waiting
        key = f"stacks/{self._num_reports}"
        self._link.set(f"{key}/{self.rank}", self._own_report())
        if self._link.get(key) == str(self.rank).encode():
            reports = {rank: self._report_of(f"{key}/{rank}", rank) for rank in range(self.size)}
            body = "\n".join(f"--- rank {rank}: {text}" for rank, text in reports.items())
            logger.error("a collective waits longer than %g s; what every rank does:\n%s", self.budget_s, body)

    def _report_of(self, key: str, rank: int) -> str:
        """Waits for the stacks of a rank and returns them; if they do not come in time, says what is known of the rank.

        Args:
            key: key of the store under which the rank stores its stacks.
            rank: the rank.
        """
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline:
            if self._link.check([key]):
                return str(self._link.get(key).decode())
            if self._link.check([f"left/{rank}"]):
                return "has left the run"
            time.sleep(_POLL_S / 10)
        host = self._link.get(f"host/{rank}").decode() if self._link.check([f"host/{rank}"]) else "an unknown host"
        return f"does not answer: its process on {host} is gone, stopped, or holds the interpreter in native code"

    def _own_report(self) -> str:
        waiting = self.waiting
        doing = "in no collective" if waiting is None else f"in {waiting[0]} for {time.monotonic() - waiting[1]:.0f} s"
        return f"{doing}, on {self.host}\n{stacks(skip=self._thread.ident)}"

    def has_left(self, rank: int) -> bool:
        """Whether another rank has ended regularly, without a failure."""
        return bool(self.store.check([f"left/{rank}"]))

    def _left(self) -> list[int]:
        """Returns the ranks that have ended regularly; an empty list if the store is closed."""
        with contextlib.suppress(RuntimeError):
            return [rank for rank in range(self.size) if self.has_left(rank)]
        return []

    def _leave(self) -> None:
        """Announces in the store that this rank has ended regularly.

        Rank 0 then waits a short time until the other ranks no longer need the store. After a failure the time is
        longer, so that the other ranks can read the report.
        """
        self.store.set(f"left/{self.rank}", "1")
        if not self._is_counted_as_closed:
            self.store.add("closed", 1)
        if self.rank == 0:
            self.store.set("closing", "1")
            deadline = time.monotonic() + 2 * _POLL_S
            if self.store.check(["fault"]):  # If a rank has failed, the other ranks get time to read its report.
                deadline = max(deadline, (self._failed_at or time.monotonic()) + _LEAVE_S)
            while self.store.add("closed", 0) < self.size and time.monotonic() < deadline:
                time.sleep(_POLL_S / 20)
