"""Underscored names of ``Runner`` that hooks and tools of libraries read and assign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eng.dist import get_rank, get_world_size, is_distributed
from eng.runner import environment
from eng.runner.assemble import model as models
from eng.runner.assemble import optim


class OfRunner:
    """Added to :class:`eng.runner.Runner`."""

    _distributed = property(lambda self: is_distributed())
    _rank = property(lambda self: get_rank())
    _world_size = property(lambda self: get_world_size())

    def _build_param_scheduler(self: Any, scheduler: Any, optim_wrapper: Any) -> list[Any]:
        """The schedulers of one optimizer wrapper."""
        ends = {"max_epochs": self.max_epochs, "max_iters": self.max_iters}
        length = len(self.train_dataloader) if hasattr(self.train_dataloader, "__len__") else None
        built: list[Any] = optim.build_param_schedulers(scheduler, optim_wrapper, epoch_length=length, **ends)
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
        options = self._settings["compile"] or self.cfg.get("compile", False)
        if options:
            models.compile_model(self.model, options)


MEMBERS = {"Runner": OfRunner}
