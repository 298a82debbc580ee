"""CompileCacheHook: saves compiled programs of torch.compile, so that the next start of a run need not compile again."""

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
# Number of iterations before the artifacts are first saved: forward and backward pass are then compiled, because each
# is compiled when it first runs.
_FIRST_SAVE = 2


@HOOKS.register_module()
class CompileCacheHook(Hook):
    """Saves the cache artifacts of ``torch.compile`` in ``work_dir/compile_cache.bin``, and loads them before training.

    Artifacts contain executable code. The file is therefore signed with a secret key of the user
    (``~/.config/eng/compile_cache.key``). If another user or another version of torch wrote the file, a warning is
    logged and the file is not loaded. ``compile=dict(cache=True)`` adds the hook. Rank 0 writes the file, all ranks
    read it.

    Raises:
        UsageError: this version of torch cannot save artifacts, which needs torch 2.7.
    """

    priority = "LOW"

    def __init__(self) -> None:
        if not hasattr(torch.compiler, "save_cache_artifacts"):
            raise UsageError(f"compile=dict(cache=True) needs torch 2.7 or newer, this is {torch.__version__}")
        self._iterations = 0
        self._saved: Any = None
        self._since = time.time()

    def before_train(self, runner: RunnerView) -> None:
        """Loads the artifacts that an earlier launch of the run saved; without a file, everything is compiled anew."""
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
        """Saves the artifacts after the second iteration, when forward and backward are compiled."""
        self._iterations += 1
        if self._iterations == _FIRST_SAVE:
            self._save(runner)

    def after_run(self, runner: RunnerView) -> None:
        """Saves the artifacts again, because functions may have been compiled later, for example for a smaller last batch."""
        if self._iterations:
            self._save(runner)

    def _save(self, runner: RunnerView) -> None:
        """Writes the artifacts on rank 0, unless they are unchanged since the last save."""
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
    """Returns the text on which the file's signature depends: torch's version, machine type, CPU instruction set.

    A file from another environment then has a wrong signature and is not loaded. Code that was compiled for AVX512, for
    example, computes wrong numbers on a CPU with AVX2 only.
    """
    return f"torch.compile {torch.__version__} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}".encode()
