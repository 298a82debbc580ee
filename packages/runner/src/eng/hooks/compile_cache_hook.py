"""CompileCacheHook: what torch.compile made in one start of a run is there at the next."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from eng.dist import get_rank
from eng.logging.errors import UsageError
from eng.registry import HOOKS

from ._compiled_files import pack, unpack
from ._signed_file import ForeignFile, read_signed, write_signed
from .hook import DataBatch, Hook
from .view import RunnerView

logger = logging.getLogger(__name__)
_FILE = "compile_cache.bin"
# The second iteration has the backward pass of the first behind it.
_FIRST_SAVE = 2


@HOOKS.register_module()
class CompileCacheHook(Hook):
    """Keeps the artifacts of ``torch.compile`` in ``work_dir/compile_cache.bin``, and loads them before training.

    Artifacts are compiled programs, so that loading them is running them. The file is signed with a key of the user
    (``~/.config/eng/compile_cache.key``), and one that this user did not write with this torch is left alone, with a line in the
    log. ``compile=dict(cache=True)`` adds the hook. Rank 0 writes, all ranks read.

    Raises:
        UsageError: this torch cannot save artifacts (it can from 2.7 on).
    """

    priority = "LOW"

    def __init__(self) -> None:
        if not hasattr(torch.compiler, "save_cache_artifacts"):
            raise UsageError(f"compile=dict(cache=True) needs torch 2.7 or newer, this is {torch.__version__}")
        self._iterations = 0
        self._saved: Any = None
        self._since = time.time()

    def before_train(self, runner: RunnerView) -> None:
        """Loads the artifacts of an earlier start."""
        path = _path(runner)
        try:
            content = read_signed(path, _purpose())
        except FileNotFoundError:
            return
        except (ForeignFile, OSError) as error:
            logger.warning(
                "%s is not loaded: this user did not write it with torch %s on this machine (%s). Everything is compiled anew",
                path,
                torch.__version__,
                error,
            )
            return
        unpack(content)
        logger.info("Artifacts of torch.compile are loaded from %s", path)

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | Sequence[Any] | None = None,
    ) -> None:
        """Saves them as soon as forward and backward are compiled."""
        self._iterations += 1
        if self._iterations == _FIRST_SAVE:
            self._save(runner)

    def after_run(self, runner: RunnerView) -> None:
        """Saves what was compiled later, as for the last batch."""
        if self._iterations:
            self._save(runner)

    def _save(self, runner: RunnerView) -> None:
        """Writes what the compiler has made, on rank 0, where it is not what was written before."""
        if get_rank() != 0:
            return
        path = _path(runner)
        try:
            artifacts = torch.compiler.save_cache_artifacts()
            if artifacts is None or artifacts[1] == self._saved:
                return
            write_signed(path, pack(artifacts[0], self._since), _purpose())
            self._saved = artifacts[1]
        except (OSError, RuntimeError, ForeignFile) as error:
            logger.warning("%s is not written, and the next start compiles anew: %s", path, error)


def _path(runner: RunnerView) -> Path:
    return Path(runner.work_dir) / _FILE


def _purpose() -> bytes:
    """What artifacts are for: another torch or processor has others, as AVX512 computes wrong numbers on one with AVX2."""
    return f"torch.compile {torch.__version__} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}".encode()
