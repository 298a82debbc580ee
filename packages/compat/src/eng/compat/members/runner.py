"""Private attributes and methods of MMEngine's ``Runner`` that hooks and tools of libraries use."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

from eng.compat.version import __version__
from eng.dist import get_rank, get_world_size, is_distributed
from eng.runner import environment
from eng.runner.assemble import optim
from eng.runner.assemble.compilation import compile_model


def _loop_property(name: str) -> property:
    """Returns a property for a loop of the Runner, which reads and assigns the loop.

    Before the loop is built, the value is the config of the loop.
    """
    return property(lambda self: getattr(self, name).peek(), lambda self, loop: getattr(self, name).replace(loop))


def _setting_property(name: str) -> property:
    """Returns a property for a setting of the Runner; assigning to it replaces the setting."""

    def assign(runner: Any, value: Any) -> None:
        settings = copy.copy(runner.settings)
        # The settings object is immutable and several Runners may share it, so it is replaced by a changed copy.
        object.__setattr__(settings, name, value)
        runner.settings = settings

    return property(lambda self: getattr(self.settings, name), assign)


def _alias_property(path: str) -> property:
    """Returns a property that reads and assigns another attribute, given by its dotted path."""
    *owners, name = path.split(".")

    def owner(runner: Any) -> Any:
        return functools.reduce(getattr, owners, runner)

    return property(lambda self: getattr(owner(self), name), lambda self, value: setattr(owner(self), name, value))


class OfRunner:
    """Members of :class:`eng.runner.Runner` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    # In MMEngine these names are properties, which tools look up on the class. The values here are placeholders: every
    # Runner object sets its own values.
    work_dir = log_dir = timestamp = experiment_name = model_name = ""
    launcher, seed, deterministic = "none", 0, False

    _train_loop = _loop_property("train_part")
    _val_loop = _loop_property("val_part")
    _test_loop = _loop_property("test_part")
    _train_dataloader = _setting_property("train_dataloader")
    _val_dataloader = _setting_property("val_dataloader")
    _test_dataloader = _setting_property("test_dataloader")
    _val_evaluator = _setting_property("val_evaluator")
    _test_evaluator = _setting_property("test_evaluator")
    _hooks = _alias_property("hook_list.hooks")
    _resume = _alias_property("state.resume_setting")
    _load_from = _alias_property("state.load_from")
    _has_loaded = _alias_property("state.has_loaded")
    _work_dir = _alias_property("work_dir")
    _log_dir = _alias_property("log_dir")
    _timestamp = _alias_property("timestamp")
    _experiment_name = _alias_property("experiment_name")
    _model_name = _alias_property("model_name")
    _launcher = _alias_property("launcher")
    _seed = _alias_property("seed")
    _deterministic = _alias_property("deterministic")
    _randomness_cfg = property(lambda self: dict(self.settings.randomness))

    def _init_model_weights(self: Any) -> None:
        """Initializes the weights of the model, and broadcasts the weights of rank 0 to all ranks."""
        self.strategy.init_weights(self.model)

    def collect_checkpoint(
        self: Any, save_optimizer: bool = True, save_param_scheduler: bool = True, meta: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Returns the current state of the run as a checkpoint dict; nothing is written.

        Its entry ``meta`` also contains ``mmengine_version``, which tools of OpenMMLab read.
        """
        checkpoint: dict[str, Any] = self.state.collect(save_optimizer, save_param_scheduler, meta)
        checkpoint["meta"].setdefault("mmengine_version", __version__)
        return checkpoint

    _distributed = property(lambda self: is_distributed())
    _rank = property(lambda self: get_rank())
    _world_size = property(lambda self: get_world_size())

    def _build_param_scheduler(self: Any, scheduler: Any, optim_wrapper: Any) -> list[Any]:
        """Builds the parameter schedulers of one optimizer wrapper."""
        ends = {"max_epochs": self.max_epochs, "max_iters": self.max_iters}
        length = len(self.train_dataloader) if hasattr(self.train_dataloader, "__len__") else None
        built = optim.build_param_schedulers(scheduler, optim_wrapper, epoch_length=length, **ends)
        if isinstance(built, dict):
            return [schedule for group in built.values() for schedule in group]
        return built

    def _check_scheduler_cfg(self: Any, param_scheduler: Any) -> None:
        """Checks that ``param_scheduler`` is a scheduler, a config, or a list or dict of them.

        Raises:
            TypeError: ``param_scheduler`` has another type; the message names it.
        """
        if param_scheduler is None or hasattr(param_scheduler, "step"):
            return
        if isinstance(param_scheduler, Mapping):
            if "type" in param_scheduler:
                return
            param_scheduler = list(param_scheduler.values())
        if not isinstance(param_scheduler, list | tuple):
            raise TypeError(
                "param_scheduler should be a scheduler, a config, a list of them or a dict of such lists, got "
                f"{type(param_scheduler).__name__}: {param_scheduler!r}"
            )
        for part in param_scheduler:
            self._check_scheduler_cfg(part)

    def _log_env(self: Any, env_cfg: Mapping[str, Any]) -> None:
        """Writes information about machine, software and run to the log."""
        facts = {**dict(env_cfg), "Seed": self.seed, "Launcher": self.launcher, **environment.distributed_facts()}
        self.logger.info(environment.environment_report(facts))

    def _maybe_compile(self: Any, target: str) -> None:
        """Compiles the forward of the model if the config sets ``compile``.

        Args:
            target: name of a method such as ``"train_step"``; ignored, because all these methods call forward.
        """
        compile_model(self.model, self.settings.compile or self.cfg.get("compile", False))


MEMBERS = {"Runner": OfRunner}
