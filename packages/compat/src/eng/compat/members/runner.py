"""Underscored names of ``Runner`` that hooks and tools of libraries read and assign."""

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


def _part(name: str) -> property:
    """A loop where it is built, its config before; a hook may assign another loop or config."""
    return property(lambda self: getattr(self, name).peek(), lambda self, loop: getattr(self, name).replace(loop))


def _setting(name: str) -> property:
    """What the Runner was given for a part, or what was assigned since."""

    def assign(runner: Any, value: Any) -> None:
        settings = copy.copy(runner.settings)
        object.__setattr__(settings, name, value)  # the settings themselves are frozen, and other code may hold them
        runner.settings = settings

    return property(lambda self: getattr(self.settings, name), assign)


def _same(path: str) -> property:
    """Another name of an attribute, read and assigned."""
    *owners, name = path.split(".")

    def owner(runner: Any) -> Any:
        return functools.reduce(getattr, owners, runner)

    return property(lambda self: getattr(owner(self), name), lambda self, value: setattr(owner(self), name, value))


class OfRunner:
    """Added to :class:`eng.runner.Runner`."""

    # Properties in the reference, which tools look up on the class; each Runner sets its own in its place.
    work_dir = log_dir = timestamp = experiment_name = model_name = ""
    launcher, seed, deterministic = "none", 0, False

    _train_loop, _val_loop, _test_loop = _part("train_part"), _part("val_part"), _part("test_part")
    _train_dataloader = _setting("train_dataloader")
    _val_dataloader = _setting("val_dataloader")
    _test_dataloader = _setting("test_dataloader")
    _val_evaluator = _setting("val_evaluator")
    _test_evaluator = _setting("test_evaluator")
    _hooks = _same("hook_list.hooks")
    _resume = _same("state.resume_setting")
    _load_from = _same("state.load_from")
    _has_loaded = _same("state.has_loaded")
    _work_dir, _log_dir, _timestamp = _same("work_dir"), _same("log_dir"), _same("timestamp")
    _experiment_name, _model_name = _same("experiment_name"), _same("model_name")
    _launcher, _seed, _deterministic = _same("launcher"), _same("seed"), _same("deterministic")
    _randomness_cfg = property(lambda self: dict(self.settings.randomness))

    def _init_model_weights(self: Any) -> None:
        """Lets the model set its weights, and gives all ranks those of rank 0."""
        self.strategy.init_weights(self.model)

    def collect_checkpoint(
        self: Any, save_optimizer: bool = True, save_param_scheduler: bool = True, meta: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The state of the run, with the version of MMEngine that tools look for in ``meta``."""
        checkpoint: dict[str, Any] = self.state.collect(save_optimizer, save_param_scheduler, meta)
        checkpoint["meta"].setdefault("mmengine_version", __version__)
        return checkpoint

    _distributed = property(lambda self: is_distributed())
    _rank = property(lambda self: get_rank())
    _world_size = property(lambda self: get_world_size())

    def _build_param_scheduler(self: Any, scheduler: Any, optim_wrapper: Any) -> list[Any]:
        """The schedulers of one optimizer wrapper."""
        ends = {"max_epochs": self.max_epochs, "max_iters": self.max_iters}
        length = len(self.train_dataloader) if hasattr(self.train_dataloader, "__len__") else None
        built = optim.build_param_schedulers(scheduler, optim_wrapper, epoch_length=length, **ends)
        if isinstance(built, dict):
            return [schedule for group in built.values() for schedule in group]
        return built

    def _check_scheduler_cfg(self: Any, param_scheduler: Any) -> None:
        """Checks that ``param_scheduler`` is a scheduler, a config, or a list or dict of them.

        Raises:
            TypeError: it is something else; names the type.
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
        """Writes facts on machine, software and run to the log."""
        facts = {**dict(env_cfg), "Seed": self.seed, "Launcher": self.launcher, **environment.distributed_facts()}
        self.logger.info(environment.environment_report(facts))

    def _maybe_compile(self: Any, target: str) -> None:
        """Compiles a method of the model where the config asks for it.

        Args:
            target: name of the method, such as ``"train_step"``; the model's forward, which each of them calls, is
                compiled.
        """
        compile_model(self.model, self.settings.compile or self.cfg.get("compile", False))


MEMBERS = {"Runner": OfRunner}
