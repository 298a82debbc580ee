"""Attributes of hooks that have another name in MMEngine, or exist only there."""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from eng.compat.version import __version__


def _option(name: str) -> property:
    """Returns a property that reads and sets an option of the torch profiler; users may set it before the run."""

    def read(hook: Any) -> Any:
        return hook.options[name]

    def assign(hook: Any, value: Any) -> None:
        hook.options[name] = value

    return property(read, assign)


class OfProfilerHook:
    """Members of :class:`eng.hooks.ProfilerHook` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    record_shapes = _option("record_shapes")
    profile_memory = _option("profile_memory")
    with_stack = _option("with_stack")
    with_flops = _option("with_flops")
    _closed = property(lambda self: self.profiler is None)


class OfRuntimeInfoHook:
    """Members of :class:`eng.hooks.RuntimeInfoHook` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    last_loop_stage = property(
        lambda self: getattr(self, "_last_stage", None), lambda self, stage: setattr(self, "_last_stage", stage)
    )

    @staticmethod
    def _engine_version() -> str:
        return __version__


class OfLoggerHook:
    """Members of :class:`eng.hooks.LoggerHook` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    file_client_args = property(lambda self: self.backend_args)

    @property
    def file_backend(self: Any) -> Any:
        """The storage backend of ``out_dir``; None if logs are not copied to another folder."""
        from eng.fileio import get_file_backend

        return None if self.out_dir is None else get_file_backend(self.out_dir, backend_args=self.backend_args)

    @property
    def file_client(self: Any) -> Any:
        """The `FileClient` of ``out_dir``; None if logs are not copied to another folder."""
        from eng.fileio import FileClient

        if self.out_dir is None:
            return None
        return FileClient.infer_client(self.backend_args, self.out_dir)


class OfEarlyStoppingHook:
    """Members of :class:`eng.hooks.EarlyStoppingHook` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    rule_map: ClassVar[dict[str, Any]] = {"greater": operator.gt, "less": operator.lt}


class OfCheckpointHook:
    """Members of :class:`eng.hooks.CheckpointHook` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    rule_map: ClassVar[dict[str, Callable[[Any, Any], bool]]] = {"greater": operator.gt, "less": operator.lt}
    init_value_map: ClassVar[dict[str, float]] = {"greater": -math.inf, "less": math.inf}
    file_client_args = property(lambda self: self._file_client_args)

    @property
    def is_better_than(self: Any) -> dict[str, Callable[[Any, Any], bool]]:
        """For each metric, a function that says whether its first argument is better; empty before the first metric."""
        return {metric: self.rule_map[rule] for metric, rule in self._best.rules.items()}

    @property
    def keep_ckpt_ids(self: Any) -> deque[int]:
        """Epochs or iterations of the checkpoints that are currently kept, oldest first."""
        return deque(self._retention.kept, self.max_keep_ckpts if self.max_keep_ckpts > 0 else None)


MEMBERS_OF_CHECKPOINT = {"CheckpointHook": OfCheckpointHook}
MEMBERS_OF_EARLY_STOPPING = {"EarlyStoppingHook": OfEarlyStoppingHook}
MEMBERS_OF_PROFILER = {"ProfilerHook": OfProfilerHook}
MEMBERS_OF_RUNTIME_INFO = {"RuntimeInfoHook": OfRuntimeInfoHook}
MEMBERS_OF_LOGGER = {"LoggerHook": OfLoggerHook}
