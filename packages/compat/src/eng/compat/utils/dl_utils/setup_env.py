"""``mmengine.utils.dl_utils.setup_env``."""

from __future__ import annotations

import multiprocessing
import os
import platform
import warnings


def set_multi_processing(mp_start_method: str = "fork", opencv_num_threads: int = 0, distributed: bool = False) -> None:
    """Sets how worker processes start and how many threads they use.

    Args:
        mp_start_method: ``"fork"``, ``"spawn"`` or ``"forkserver"``; not set on Windows, which has only spawn.
        opencv_num_threads: of OpenCV, where it is installed; 0 keeps it from starting any.
        distributed: one of several ranks: OpenMP and MKL get one thread each unless their variables are set.
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
