"""RunnerTestCase: a test case with configs for short trainings."""

from __future__ import annotations

import copy
import logging
import os
import socket
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, ClassVar
from unittest import TestCase
from unittest.mock import patch

__all__ = ["RunnerTestCase"]


class RunnerTestCase(TestCase):
    """A test case with a temporary work folder per test and configs that train a small model.

    The attributes ``epoch_based_cfg`` (three epochs) and ``iter_based_cfg`` (twelve iterations) are complete configs. A
    test copies and changes them, and :meth:`build_runner` builds a Runner with a unique experiment name.

    Examples:
        >>> class TestToy(RunnerTestCase):
        ...     def test_training(self):
        ...         self.build_runner(self.epoch_based_cfg).train()
    """

    dist_cfg: ClassVar[dict[str, Any]] = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": 29600,  # setup_dist_env replaces this value by a free port.
        "RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
    }

    def setUp(self) -> None:
        """Creates the work folder and the configs, and stores which loggers exist, for :meth:`tearDown`."""
        from ._toys import epoch_based_cfg, iter_based_cfg

        self._instances_before = _instances()
        self._handlers_before = list(logging.getLogger("eng").handlers)
        self.temp_dir = tempfile.TemporaryDirectory()
        self.epoch_based_cfg = epoch_based_cfg(self.temp_dir.name)
        self.iter_based_cfg = iter_based_cfg(self.temp_dir.name)

    def tearDown(self) -> None:
        """Closes log files, destroys the process group and removes the work folder."""
        import torch.distributed

        for managed_class, before in self._instances_before:
            now = managed_class._instance_dict  # noqa: SLF001  # has no public interface
            for name in [name for name in now if name not in before]:
                for handler in getattr(now.pop(name), "handlers", ()):
                    handler.close()
        logging.getLogger("eng").handlers[:] = self._handlers_before
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        self.temp_dir.cleanup()

    def build_runner(self, cfg: Any) -> Any:
        """Builds a Runner from a copy of `cfg`, with a unique experiment name."""
        from eng.runner import Runner

        cfg = copy.deepcopy(cfg)
        cfg["experiment_name"] = self.experiment_name
        return Runner.from_cfg(cfg)

    @property
    def experiment_name(self) -> str:
        """A new experiment name at each access, so that two runs do not share a logger or visualizer of that name."""
        return f"{self.id().rpartition('.')[2]}_{time.time_ns()}_{uuid.uuid4().hex[:6]}"

    def setup_dist_env(self) -> None:
        """Sets the environment variables for a process group with a single rank, until the test ends."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.dist_cfg["MASTER_PORT"] = probe.getsockname()[1]
        variables = patch.dict(os.environ, {name: str(value) for name, value in self.dist_cfg.items()})
        variables.start()
        self.addCleanup(variables.stop)

    def clear_work_dir(self) -> None:
        """Removes all files and folders in the work folder."""
        import shutil

        for entry in Path(self.temp_dir.name).iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _instances() -> list[tuple[Any, dict[str, Any]]]:
    """Returns all loggers, message hubs, visualizers and default scopes that exist now, by class and name.

    A test case compares the result with that before a test, to find the instances that the test has created.
    """
    from eng.logging import MessageHub, MMLogger
    from eng.registry import DefaultScope
    from eng.visualization import Visualizer

    managed_classes: tuple[Any, ...] = (MMLogger, MessageHub, Visualizer, DefaultScope)
    return [(managed_class, dict(managed_class._instance_dict)) for managed_class in managed_classes]  # noqa: SLF001  # not public
