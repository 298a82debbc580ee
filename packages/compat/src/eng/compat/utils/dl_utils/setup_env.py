"""Replaces ``mmengine.utils.dl_utils.setup_env``: settings of worker processes and threads."""

from __future__ import annotations

import multiprocessing
import os
import platform
import warnings


def set_multi_processing(mp_start_method: str = "fork", opencv_num_threads: int = 0, distributed: bool = False) -> None:
    """Sets the start method of worker processes and the number of threads.

    Args:
        mp_start_method: ``"fork"``, ``"spawn"`` or ``"forkserver"``; ignored on Windows, which only supports spawn.
        opencv_num_threads: number of OpenCV threads, if OpenCV is installed; 0 disables its threads.
        distributed: whether this is one of several ranks. If so, OpenMP and MKL use one thread each, unless their
            environment variables are set.
    """
    if platform.system() != "Windows":
        before = multiprocessing.get_start_method(allow_none=True)
        if before is not None and before != mp_start_method:
            warnings.warn(
                f"worker processes start by {mp_start_method!r} now, not by {before!r}", UserWarning, stacklevel=2
            )
        multiprocessing.set_start_method(mp_start_method, force=True)
    try:
        import cv2
    except ImportError:
        pass
    else:
        cv2.setNumThreads(opencv_num_threads)
    if distributed:
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(variable, "1")
