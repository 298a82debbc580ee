"""`start_watch`, by which a program starts the watch."""

from __future__ import annotations

import os

import torch.distributed as torch_dist

from eng.dist._communicators import forget_communicators
from eng.dist._group_store import JOB_STORES, open_group_store
from eng.dist._watching import WATCHES, current_watch
from eng.dist.watch._watch import Watch


def start_watch(budget_s: float | None = None) -> None:
    """Starts the watch of the process group; all ranks must call this function. A second call does nothing.

    The watch is a thread in each rank. It reports a failure of one rank to all other ranks, which then stop too instead
    of waiting forever, and logs the stacks of all ranks if a collective hangs. The Runner of eng-runner calls this
    function; other programs call it after `init_dist`. `init_dist` does not start the watch itself, because the watch
    replaces ``sys.excepthook``, uses the signal SIGURG, and may kill a process that is stuck in native code. The
    environment variable ``ENG_DIST_WATCH=0`` disables the watch.

    Args:
        budget_s: seconds that a collective may wait before the stacks of all ranks are logged; None uses the
            environment variable ``ENG_DIST_HANG_SECONDS``, or 300 if the variable is not set.

    Example:
        >>> start_watch()  # without a process group it does nothing
    """
    if os.environ.get("ENG_DIST_WATCH", "1") == "0":
        return
    if not torch_dist.is_initialized() or torch_dist.get_world_size() == 1 or current_watch() is not None:
        return
    group = torch_dist.group.WORLD
    assert group is not None  # torch.distributed is initialized here, so the group of all processes exists.
    watch = Watch(JOB_STORES.get(group) or open_group_store(group), group, budget_s)
    WATCHES.set(group, watch)
    forget_communicators()
    watch.start()
