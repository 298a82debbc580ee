"""``mmengine.utils.progressbar``: a bar of characters, for code that prints one."""

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
    """Prints how many tasks are done, how fast, and how long the rest will take.

    Args:
        task_num: how many there are; with 0 only the number done is printed.
        bar_width: characters of the bar at most.
        start: print the empty bar at once.
        file: where to print.
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
        """Columns of the terminal."""
        return shutil.get_terminal_size().columns

    def start(self) -> None:
        """Prints the empty bar and starts the clock."""
        if self.task_num > 0:
            self._write(f"[{' ' * self.bar_width}] 0/{self.task_num}, elapsed: 0s, ETA:")
        else:
            self._write("completed: 0, elapsed: 0s")
        self.timer = Timer()

    def update(self, num_tasks: int = 1) -> None:
        """Notes that `num_tasks` more are done.

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
    """Results of `func` for each task, with a bar.

    Args:
        func: called with a task and `kwargs`.
        tasks: a list of tasks, or an iterable and its length.
        bar_width: characters of the bar.
        file: where to print.
        **kwargs: further arguments of `func`.
    """
    return [func(task, **kwargs) for task in track_iter_progress(tasks, bar_width, file)]


def track_iter_progress(tasks: Sequence[Any], bar_width: int = 50, file: IO[str] = sys.stdout) -> Iterator[Any]:
    """The tasks one by one, with a bar. Arguments as of `track_progress`."""
    iterable, number = _with_length(tasks)
    bar = ProgressBar(number, bar_width, file=file)
    for task in iterable:
        yield task
        bar.update()
    bar.file.write("\n")


def init_pool(
    process_num: int, initializer: Callable[..., Any] | None = None, initargs: tuple[Any, ...] | None = None
) -> PoolType:
    """A pool of processes.

    Args:
        process_num: how many.
        initializer: called in each process first.
        initargs: its arguments.

    Raises:
        TypeError: `initargs` is no tuple.
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
    """Results of `func` for each task, worked out by a pool of processes, with a bar.

    Args:
        func: called with a task.
        tasks: a list of tasks, or an iterable and its length.
        nproc: processes.
        initializer: called in each process first.
        initargs: its arguments.
        bar_width: characters of the bar.
        chunksize: tasks that a process takes at a time.
        skip_first: start the clock after the first chunk of each process, whose start-up would spoil the estimate.
        keep_order: results in the order of the tasks, else in that of their completion.
        file: where to print.
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
    """Tasks and their number, from a sequence or from a pair of an iterable and a number.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(tasks, tuple) and len(tasks) == 2 and isinstance(tasks[0], Iterable) and isinstance(tasks[1], int):
        return tasks
    if isinstance(tasks, Sequence):
        return tasks, len(tasks)
    raise TypeError(f"tasks must be a sequence, or an iterable and its length, got {type(tasks).__name__}")
