"""The watch: a thread per rank that carries failures to the others and explains waits.

It polls the job's key-value store twice a second, over a connection of its own. Through it

- a rank that fails tells the others its traceback, and they stop within five seconds;
- a collective that waits longer than the budget makes every rank report its stack.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

import torch.distributed as torch_dist
from torch.distributed import ProcessGroup

from eng.dist._communicator import forget_communicators
from eng.dist._per_group import PerGroup
from eng.dist._stores import prefixed
from eng.dist._wait import Wait
from eng.dist.errors import PeerFailedError

logger = logging.getLogger(__name__)

_POLL_S = 0.5
_GRACE_S = 2.0  # for the main thread to come out of native code; poll + grace stays far below the promised five seconds
_ANSWER_S = 3.0  # for the other ranks to report their stacks
_LEAVE_S = 3.0  # for the others to hear of a failure before this rank, which may serve the store, is gone
# Its default action is to do nothing, and nobody else uses it: safe to borrow for waking the main thread.
_WAKE = signal.SIGURG

# How gloo, NCCL and TCP say that the other side is gone.
_BROKEN_CONNECTION = ("onnection", "ocket", "roken pipe", "NCCL", "aborted", "imed out", "peer")

_WATCHES: PerGroup[Watch] = PerGroup()


def watch_enabled() -> bool:
    """Whether `init_dist` starts the watch: unless ``ENG_DIST_WATCH=0``."""
    return os.environ.get("ENG_DIST_WATCH", "1") != "0"


def hang_budget_s() -> float:
    """Seconds that a collective may wait before every rank reports: ``ENG_DIST_HANG_SECONDS``, 300 by default."""
    return float(os.environ.get("ENG_DIST_HANG_SECONDS", "300"))


def current_watch() -> Watch | None:
    """The watch of the present process group; None where there is none."""
    if not torch_dist.is_initialized() or torch_dist.group.WORLD is None:
        return None
    return _WATCHES.get(torch_dist.group.WORLD)


def watch_group(store: Any, budget_s: float | None = None) -> Watch:
    """Starts the watch of the default group over `store`; all ranks call it."""
    group = torch_dist.group.WORLD
    assert group is not None  # the caller has just made it
    watch = Watch(store, group, budget_s)
    _WATCHES.set(group, watch)
    forget_communicators()
    watch.start()
    return watch


class Watch:
    """What one rank knows of the others' health.

    Args:
        store: the job's store, for the main thread; the watching thread makes a connection of its own.
        group: the group of all processes; the watch ends when it is destroyed.
        budget_s: seconds that a collective may wait unexplained.

    Attributes:
        waiting: the collective or watched block that the main thread is in, and since when on the monotonic clock.
        fault: the failure of another rank, once it is known.
    """

    def __init__(self, store: Any, group: ProcessGroup, budget_s: float | None = None) -> None:
        rank, size = torch_dist.get_rank(group), torch_dist.get_world_size(group)
        attempt = store.add(f"eng/watching/{rank}", 1)  # a second group in the same job must not hear of the first
        self.store = prefixed(f"eng/watch/{attempt}", store)
        self._link = prefixed(f"eng/watch/{attempt}", store.clone())
        self.rank, self.size, self._group = rank, size, weakref.ref(group)
        self.budget_s = hang_budget_s() if budget_s is None else budget_s
        self.waiting: tuple[str, float] | None = None
        self.fault: PeerFailedError | None = None
        self._explained: tuple[str, float] | None = None
        self._round = 0
        self._stop, self._delivered = threading.Event(), threading.Event()
        self._is_counted = self._has_left = False
        self._failed_at: float | None = None  # when this rank learned of a failure, its own or another's
        self._thread = threading.Thread(target=self._run, name="eng-dist-watch", daemon=True)
        self._has_handler = False

    def start(self) -> None:
        """Starts the thread, and hears of this rank's own failures."""
        _FaultHook.tell(self)
        self._has_handler = _WakeHandler.wake(self)
        # Registered late, so that it runs early: before torch takes the store apart.
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Leaves the watch in good order: the rank that serves the store lets the others leave first."""
        if self._has_left:
            return
        self._has_left = True
        self._stop.set()
        atexit.unregister(self.stop)
        self._thread.join(_POLL_S + _ANSWER_S)
        with contextlib.suppress(RuntimeError):
            self._leave()

    def raise_if_failed(self) -> None:
        """Raises the failure of another rank, if there is one.

        Raises:
            PeerFailedError: another rank failed.
        """
        if self.fault is not None:
            self._delivered.set()
            raise self.fault

    def raise_once(self) -> None:
        """Raises the failure of another rank, unless it was raised already."""
        if not self._delivered.is_set():
            self.raise_if_failed()

    def fault_behind(self, error: RuntimeError) -> PeerFailedError | None:
        """The failure of another rank that broke this rank's connection; None where `error` is something else."""
        if not any(word in str(error) for word in _BROKEN_CONNECTION):
            return None
        deadline = time.monotonic() + _GRACE_S
        while self.fault is None and time.monotonic() < deadline:
            time.sleep(_POLL_S / 5)
        self._delivered.set()
        if self.fault is None:
            logger.error("%s broke off; ranks that have left the run: %s", self.waiting, self._left() or "none known")
        return self.fault

    def publish(self, error: BaseException) -> None:
        """Tells the other ranks that this one failed, and waits until they know."""
        if isinstance(error, PeerFailedError) or self._has_left:
            return
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._failed_at = time.monotonic()
        with contextlib.suppress(RuntimeError):
            self.store.compare_set("fault", "", json.dumps({"rank": self.rank, "traceback": text}))
            deadline = self._failed_at + _LEAVE_S
            while self.store.add("heard", 0) < self.size - 1 and time.monotonic() < deadline:
                time.sleep(_POLL_S / 10)

    def _run(self) -> None:
        with contextlib.suppress(RuntimeError):  # the store is gone: its rank has ended, and so has the job
            is_closing = False
            while not is_closing and not self._stop.wait(_POLL_S) and self._goes_on():
                is_closing = self._link.check(["closing"])  # asked first: it may close because of a failure
                self._poll()
            if not self._stop.is_set():
                self._link.add("closed", 1)
                self._is_counted = True

    def _goes_on(self) -> bool:
        is_present = torch_dist.is_initialized() and torch_dist.group.WORLD is self._group()
        return is_present and self.fault is None

    def _poll(self) -> None:
        if self._link.check(["fault"]):
            fault = json.loads(self._link.get("fault"))
            if fault["rank"] != self.rank:
                self._deliver(PeerFailedError(fault["rank"], fault["traceback"]))
                return
        waiting = self.waiting
        if waiting and waiting != self._explained and time.monotonic() - waiting[1] > self.budget_s:
            self._link.compare_set(f"stacks/{self._round + 1}", "", str(self.rank))
        if self._link.check([f"stacks/{self._round + 1}"]):
            self._report_stacks()

    def _deliver(self, fault: PeerFailedError) -> None:
        self.fault, self._failed_at = fault, time.monotonic()
        self._link.add("heard", 1)
        logger.error("rank %d failed; rank %d stops too", fault.rank, self.rank)
        if not self._has_handler:
            return
        signal.pthread_kill(_main_thread_id(), _WAKE)
        deadline = time.monotonic() + _GRACE_S
        while not self._delivered.wait(_POLL_S / 10) and not self._stop.is_set():
            if time.monotonic() > deadline:
                self._end_process(fault)

    def _end_process(self, fault: PeerFailedError) -> None:
        # Native code, such as a collective whose partner is gone, cannot be interrupted in any other way.
        logger.critical("rank %d is stuck in native code and is ended now; %s", self.rank, fault)
        faulthandler.dump_traceback(sys.__stderr__ or 2)
        with contextlib.suppress(RuntimeError):
            self._link.add("closed", 1)
        os._exit(1)

    def _report_stacks(self) -> None:
        self._round += 1
        self._explained = self.waiting
        key = f"stacks/{self._round}"
        self._link.set(f"{key}/{self.rank}", self._own_report())
        if self._link.get(key) == str(self.rank).encode():
            reports = {rank: self._answer(f"{key}/{rank}", rank) for rank in range(self.size)}
            body = "\n".join(f"--- rank {rank}: {text}" for rank, text in reports.items())
            logger.error("a collective waits longer than %g s; what every rank does:\n%s", self.budget_s, body)

    def _answer(self, key: str, rank: int) -> str:
        deadline = time.monotonic() + _ANSWER_S
        while time.monotonic() < deadline:
            if self._link.check([key]):
                return str(self._link.get(key).decode())
            if self._link.check([f"left/{rank}"]):
                return "has left the run"
            time.sleep(_POLL_S / 10)
        return "does not answer: its process is gone, stopped, or holds the interpreter in native code"

    def _own_report(self) -> str:
        waiting = self.waiting
        doing = "in no collective" if waiting is None else f"in {waiting[0]} for {time.monotonic() - waiting[1]:.0f} s"
        return f"{doing}\n{_stacks(skip=self._thread.ident)}"

    def has_left(self, rank: int) -> bool:
        """Whether another rank has ended in good order."""
        return bool(self.store.check([f"left/{rank}"]))

    def _left(self) -> list[int]:
        with contextlib.suppress(RuntimeError):
            return [rank for rank in range(self.size) if self.has_left(rank)]
        return []

    def _leave(self) -> None:
        self.store.set(f"left/{self.rank}", "1")
        if not self._is_counted:
            self.store.add("closed", 1)
        if self.rank == 0:
            self.store.set("closing", "1")
            deadline = time.monotonic() + 2 * _POLL_S
            if self.store.check(["fault"]):  # also one that this rank has not looked at
                deadline = max(deadline, (self._failed_at or time.monotonic()) + _LEAVE_S)
            while self.store.add("closed", 0) < self.size and time.monotonic() < deadline:
                time.sleep(_POLL_S / 20)


class _FaultHook:
    """`sys.excepthook` that tells the other ranks too; installed once in a process."""

    def __init__(self, watch: Watch) -> None:
        self.before, self.watch = sys.excepthook, watch

    @staticmethod
    def tell(watch: Watch) -> None:
        """From now on `watch` is told of an exception that ends the program; the one before it ends."""
        if isinstance(sys.excepthook, _FaultHook):
            sys.excepthook.watch.stop()
            sys.excepthook.watch = watch
        else:
            sys.excepthook = _FaultHook(watch)

    def __call__(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.before(kind, error, trace)
        if not isinstance(error, KeyboardInterrupt):
            self.watch.publish(error)


class _WakeHandler:
    """Signal handler that raises another rank's failure in the main thread; installed once in a process."""

    def __init__(self, watch: Watch) -> None:
        self.before, self.watch = signal.getsignal(_WAKE), watch

    @staticmethod
    def wake(watch: Watch) -> bool:
        """From now on the signal raises the failure that `watch` knows; False where no handler can be installed."""
        if threading.current_thread() is not threading.main_thread():
            return False
        handler = signal.getsignal(_WAKE)
        if isinstance(handler, _WakeHandler):
            handler.watch = watch
        else:
            signal.signal(_WAKE, _WakeHandler(watch))
        return True

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.watch.raise_once()
        if callable(self.before):
            self.before(number, frame)


def start_watch(budget_s: float | None = None) -> None:
    """Watches a process group that was started without `init_dist`; all ranks call it. Twice is once.

    Args:
        budget_s: seconds that a collective may wait before every rank reports its stack; None takes
            ``ENG_DIST_HANG_SECONDS``, or 300.

    Example:
        >>> start_watch()  # a single process has nothing to watch
    """
    from eng.dist._group_store import open_group_store

    if torch_dist.is_initialized() and torch_dist.get_world_size() > 1 and current_watch() is None:
        watch_group(open_group_store(torch_dist.group.WORLD), budget_s)


def watched(name: str) -> contextlib.AbstractContextManager[None]:
    """Watches a block in which torch itself waits for other ranks, such as a backward that averages gradients.

    The collectives of this package are watched already. A block that takes longer than the budget of the watch makes
    every rank report its stack, and a connection that breaks in it becomes the failure of the rank behind it. It costs
    about a microsecond; where there is no watch it does nothing.

    Args:
        name: of the block, in reports.

    Raises:
        PeerFailedError: another rank failed.

    Example:
        >>> with watched("the training step"):
        ...     step = 1 + 1
    """
    watch = current_watch()
    return contextlib.nullcontext() if watch is None else Wait(watch, name)


@contextlib.contextmanager
def share_faults() -> Iterator[None]:
    """Tells the other ranks of an exception that leaves the block, and passes it on.

    An exception that ends the program is told without it. It is for programs that catch their exceptions at the top,
    as ``torch.multiprocessing.spawn`` does, and for ``sys.exit`` with an error status.

    Raises:
        PeerFailedError: another rank failed.

    Example:
        >>> with share_faults():
        ...     step = 1 + 1
    """
    try:
        yield
    except BaseException as error:
        watch = current_watch()
        orderly = isinstance(error, SystemExit) and error.code in (None, 0)
        if watch is not None and not orderly:
            watch.publish(error)
        raise


def _main_thread_id() -> int:
    ident = threading.main_thread().ident
    assert ident is not None  # it runs
    return ident


def _stacks(skip: int | None) -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()  # noqa: SLF001 # documented; the underscore says that other Pythons may lack it
    return "\n".join(
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in frames.items()
        if ident != skip
    )
