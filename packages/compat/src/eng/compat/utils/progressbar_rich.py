"""Replaces ``mmengine.utils.progressbar_rich``: a progress bar drawn by the library rich."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from multiprocessing import Pool
from typing import Any


class _Worker:
    """Calls a function with a task: a tuple as positional arguments, a dict as keywords, else as a single argument."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def __call__(self, task: Any) -> Any:
        if isinstance(task, tuple):
            return self.func(*task)
        return self.func(**task) if isinstance(task, dict) else self.func(task)


def track_progress_rich(
    func: Callable[..., Any],
    tasks: Iterable[Any] = (),
    task_num: int | None = None,
    nproc: int = 1,
    chunksize: int = 1,
    description: str = "Processing",
    color: str = "blue",
) -> list[Any]:
    """Calls `func` for each task, shows a progress bar drawn by rich, and returns the results.

    Args:
        func: called with a task: a tuple as positional arguments, a dict as keywords, else as a single argument.
        tasks: the tasks; if there are none, `func` is called `task_num` times without arguments.
        task_num: number of tasks to do; all by default.
        nproc: number of processes; 1 uses the current process.
        chunksize: number of tasks that a process gets at a time.
        description: text beside the bar.
        color: color of the bar.

    Raises:
        TypeError: `func` is not callable, or `tasks` is not iterable.
        ValueError: neither tasks nor `task_num` are given, `task_num` exceeds the number of tasks, or `nproc` is
            below 1.
    """
    from rich.progress import BarColumn as Bar
    from rich.progress import Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    if not callable(func):
        raise TypeError(f"func must be callable, got {func!r}")
    if nproc < 1:
        raise ValueError(f"nproc must be at least 1, got {nproc}")
    todo, number = _selected_tasks(tasks, task_num)
    columns = (TextColumn("{task.description}"), Bar(complete_style=color), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task(description, total=number)

        def ticking(results: Iterable[Any]) -> list[Any]:
            done = []
            for result in results:
                done.append(result)
                progress.advance(bar)
            return done

        if nproc == 1:
            return ticking(map(_Worker(func), todo))
        with Pool(nproc) as pool:
            return ticking(pool.imap(_Worker(func), todo, chunksize))


def _selected_tasks(tasks: Iterable[Any], task_num: int | None) -> tuple[Iterable[Any], int | None]:
    """Returns the tasks to do and their number, or None as the number if it is unknown.

    Args:
        tasks: the tasks; if there are none, `task_num` calls without arguments are the tasks.
        task_num: number of tasks to do; None for all.

    Raises:
        TypeError: `tasks` is not iterable.
        ValueError: there are neither tasks nor a number, or fewer tasks than `task_num`.
    """
    if not isinstance(tasks, Iterable):
        raise TypeError(f"tasks must be iterable, got {tasks!r}")
    if not isinstance(tasks, Sized):
        from itertools import islice

        return (tasks if task_num is None else islice(tasks, task_num)), task_num
    if len(tasks) == 0:
        if task_num is None:
            raise ValueError("there are no tasks: give some, or task_num to call func that many times")
        return [()] * task_num, task_num
    if task_num is not None and task_num > len(tasks):
        raise ValueError(f"task_num is {task_num}, but there are {len(tasks)} tasks")
    number = len(tasks) if task_num is None else task_num
    return [task for task, _ in zip(tasks, range(number), strict=False)], number
