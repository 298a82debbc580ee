"""Starting the watch, which is the program's decision."""

from __future__ import annotations

import os

import torch.distributed as torch_dist

from eng.dist._communicators import forget_communicators
from eng.dist._group_store import JOB_STORES, open_group_store
from eng.dist._watching import WATCHES, current_watch
from eng.dist.watch._watch import Watch


def start_watch(budget_s: float | None = None) -> None:
    """Watches the process group of this process; all ranks call it. Twice is once.

    The Runner of eng-runner calls it. A program that calls `init_dist` itself calls it afterwards. The watch borrows
    ``sys.excepthook`` and the signal SIGURG, and may end a process that is stuck in native code, so it is never started
    unasked. ``ENG_DIST_WATCH=0`` in the environment makes it do nothing.

    Args:
        budget_s: seconds that a collective may wait before every rank reports its stack; None takes
            ``ENG_DIST_HANG_SECONDS``, or 300.

    Example:
        >>> start_watch()  # a single process has nothing to watch
    """
    if os.environ.get("ENG_DIST_WATCH", "1") == "0":
        return
    if not torch_dist.is_initialized() or torch_dist.get_world_size() == 1 or current_watch() is not None:
        return
    group = torch_dist.group.WORLD
    assert group is not None  # torch says that it is there
    watch = Watch(JOB_STORES.get(group) or open_group_store(group), group, budget_s)
    WATCHES.set(group, watch)
    forget_communicators()
    watch.start()
