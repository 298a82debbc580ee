"""Replaces ``mmengine.utils.progressbar``: a progress bar of text characters."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import Pool
from multiprocessing.pool import Pool as PoolType
from typing import IO, Any

from eng.compat.errors import UsageError
from eng.compat.utils.timer import Timer


class ProgressBar:
    """Prints the number of finished tasks, the speed and the estimated remaining time.

    Args:
        task_num: number of tasks; with 0 only the number of finished tasks is printed.
        bar_width: largest width of the bar in characters.
        start: whether to print the empty bar and start the clock immediately.
        file: text file to which the bar is printed.
    """

    def __init__(self, task_num: int = 0, bar_width: int = 50, start: bool = True, file: IO[str] = sys.stdout) -> None:
        self.task_num = task_num
        self.bar_width = bar_width
        self.completed = 0
        self.file = file
        if start:
            self.start()

    @property
    def terminal_width(self) -> int:
        """Width of the terminal in columns."""
        return shutil.get_terminal_size().columns

    def start(self) -> None:
        """Prints the empty bar and starts the clock."""
        if self.task_num > 0:
            self._write(f"[{' ' * self.bar_width}] 0/{self.task_num}, elapsed: 0s, ETA:")
        else:
            self._write("completed: 0, elapsed: 0s")
        self.timer = Timer()

    def update(self, num_tasks: int = 1) -> None:
        """Adds `num_tasks` finished tasks and prints the bar.

        Raises:
            UsageError: `num_tasks` is below 1.
        """
        if num_tasks < 1:
            raise UsageError(f"num_tasks must be at least 1, got {num_tasks}")
        self.completed += num_tasks
        elapsed = max(self.timer.since_start(), 1e-9)
        rate = self.completed / elapsed
        if self.task_num <= 0:
            self._write(f"\rcompleted: {self.completed}, elapsed: {elapsed:.0f}s, {rate:.1f} tasks/s")
            return
        share = self.completed / self.task_num
        left = elapsed * (1 - share) / share
        numbers = f"{self.completed}/{self.task_num}, {rate:.1f} task/s, elapsed: {elapsed:.0f}s, ETA: {left:5.0f}s"
        # The bar shrinks so that the line fits the terminal, down to a tenth of its width.
        width = max(min(self.bar_width, self.terminal_width - len(numbers) - 4), self.bar_width // 10, 1)
        done = int(width * share)
        self._write(f"\r[{'>' * done}{' ' * (width - done)}] {numbers}")

    def _write(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()


def track_progress(
    func: Callable[..., Any], tasks: Sequence[Any], bar_width: int = 50, file: IO[str] = sys.stdout, **kwargs: Any
) -> list[Any]:
    """Calls `func` for each task, shows a progress bar, and returns the results.

    Args:
        func: called with a task and `kwargs`.
        tasks: a list of tasks, or a pair of an iterable and its length.
        bar_width: largest width of the bar in characters.
        file: text file to which the bar is printed.
        **kwargs: further arguments of `func`.
    """
    return [func(task, **kwargs) for task in track_iter_progress(tasks, bar_width, file)]


def track_iter_progress(tasks: Sequence[Any], bar_width: int = 50, file: IO[str] = sys.stdout) -> Iterator[Any]:
    """Yields the tasks one by one and shows a progress bar; the arguments are those of `track_progress`."""
    iterable, number = _with_length(tasks)
    bar = ProgressBar(number, bar_width, file=file)
    for task in iterable:
        yield task
        bar.update()
    bar.file.write("\n")


def init_pool(
    process_num: int, initializer: Callable[..., Any] | None = None, initargs: tuple[Any, ...] | None = None
) -> PoolType:
    """Creates a pool of worker processes.

    Args:
        process_num: number of processes.
        initializer: function that each process calls at its start.
        initargs: arguments of `initializer`.

    Raises:
        TypeError: `initargs` is not a tuple.
    """
    if initargs is not None and not isinstance(initargs, tuple):
        raise TypeError(f'"initargs" must be a tuple, got {type(initargs).__name__}')
    return Pool(process_num, initializer, initargs or ())


def track_parallel_progress(
    func: Callable[..., Any],
    tasks: Sequence[Any],
    nproc: int,
    initializer: Callable[..., Any] | None = None,
    initargs: tuple[Any, ...] | None = None,
    bar_width: int = 50,
    chunksize: int = 1,
    skip_first: bool = False,
    keep_order: bool = True,
    file: IO[str] = sys.stdout,
) -> list[Any]:
    """Calls `func` for each task in a pool of processes, shows a progress bar, and returns the results.

    Args:
        func: called with a task.
        tasks: a list of tasks, or a pair of an iterable and its length.
        nproc: number of processes.
        initializer: function that each process calls at its start.
        initargs: arguments of `initializer`.
        bar_width: largest width of the bar in characters.
        chunksize: number of tasks that a process gets at a time.
        skip_first: whether to start the clock after the first chunk of each process, whose start-up distorts the
            estimated time.
        keep_order: whether to return the results in the order of the tasks; False returns them in order of completion.
        file: text file to which the bar is printed.
    """
    iterable, number = _with_length(tasks)
    skipped = nproc * chunksize if skip_first else 0
    bar = ProgressBar(number - skipped, bar_width, start=False, file=file)
    results: list[Any] = []
    with init_pool(nproc, initializer, initargs) as pool:
        if not skipped:
            bar.start()
        for result in (pool.imap if keep_order else pool.imap_unordered)(func, iterable, chunksize):
            results.append(result)
            if len(results) == skipped:
                bar.start()
            elif len(results) > skipped:
                bar.update()
    bar.file.write("\n")
    return results


def _with_length(tasks: Any) -> tuple[Iterable[Any], int]:
    """Returns the tasks and their number, given a sequence, or a pair of an iterable and its length.

    Raises:
        TypeError: `tasks` is neither.
    """
    if isinstance(tasks, tuple) and len(tasks) == 2 and isinstance(tasks[0], Iterable) and isinstance(tasks[1], int):
        return tasks
    if isinstance(tasks, Sequence):
        return tasks, len(tasks)
    raise TypeError(f"tasks must be a sequence, or an iterable and its length, got {type(tasks).__name__}")
