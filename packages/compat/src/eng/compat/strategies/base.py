"""A strategy that prepares, saves and loads the parts of a training without a runner."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from eng.dist import get_rank, get_world_size, init_dist, is_distributed
from eng.runner import environment
from eng.runner.assemble import model as models
from eng.runner.assemble import observers, optim
from eng.runner.assemble.compilation import compile_model
from eng.runner.assemble.strategy import place_model
from eng.runner.state import collect, restore
from eng.runner.state.policy import choose_beginning
from eng.runner.strategy import BaseStrategy as Strategy
from eng.runner.utils import set_random_seed


class BaseStrategy(Strategy):
    """What every strategy of the reference offers beside those of eng: it may be used without a runner.

    Args:
        work_dir: folder of the run.
        experiment_name: name of the run; None (default) is the time at which it started.
        env_kwargs: ``launcher``, ``randomness`` and what :func:`eng.runner.environment.setup_environment` takes.
        log_kwargs: options of the logger.
        auto_scale_lr: ``dict(enable=True, base_batch_size=N)``.
    """

    def __init__(
        self,
        *,
        work_dir: str = "work_dirs",
        experiment_name: str | None = None,
        env_kwargs: dict[str, Any] | None = None,
        log_kwargs: dict[str, Any] | None = None,
        auto_scale_lr: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            work_dir=work_dir,
            experiment_name=experiment_name,
            env_kwargs=env_kwargs,
            log_kwargs=log_kwargs,
            auto_scale_lr=auto_scale_lr,
        )

    @cached_property
    def _opened(self) -> tuple[str, int]:
        """Time stamp and seed of the process, which is set up when they are first needed."""
        settings = {key: value for key, value in self.env_kwargs.items() if key not in ("launcher", "randomness")}
        if self.launcher != "none":
            self._setup_distributed(self.launcher, **dict(settings.get("dist_cfg") or {}))
        environment.setup_environment(settings, self.launcher)
        stamp = environment.shared_timestamp()
        return stamp, set_random_seed(**{"seed": None, **self.randomness})

    def _setup_distributed(self, launcher: str | None = None, backend: str = "nccl", **kwargs: Any) -> None:
        """Starts the process group, unless there is one. Subclasses of old code extend it.

        Args:
            launcher: ``"pytorch"``, ``"slurm"`` or ``"mpi"``.
            backend: of the process group.
            **kwargs: further arguments of :func:`eng.dist.init_dist`.
        """
        if launcher is not None and not is_distributed():
            init_dist(launcher, backend, **kwargs)

    def prepare(
        self,
        model: nn.Module | dict[str, Any],
        *,
        optim_wrapper: Any = None,
        param_scheduler: Any = None,
        compile: dict[str, Any] | bool = False,
        dispatch_kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The model on its devices, and the optimizer and schedulers where they are asked for.

        Args:
            model: a model or its config.
            optim_wrapper: an optimizer wrapper or its config.
            param_scheduler: schedulers or their configs.
            compile: True, or options of ``torch.nn.Module.compile``.
            dispatch_kwargs: ``epoch_length``, ``max_epochs``, ``max_iters`` and ``train_micro_batch_size_per_gpu`` of
                the run, where schedulers or ``auto_scale_lr`` need them.

        Returns:
            The model, or ``[model, optim_wrapper]``, or ``[model, optim_wrapper, param_schedulers]``.
        """
        self._facts = dict(dispatch_kwargs or {})
        _ = self._opened
        placed = place_model(self, self.build_model(model), None)
        self.model = self.compile_model(placed, compile=compile)
        self.init_weights(self.model)
        prepared: list[Any] = [self.model]
        self.optim_wrapper: Any = None
        self.param_schedulers: Any = None
        if optim_wrapper is not None:
            self.optim_wrapper = self.build_optim_wrapper(optim_wrapper, self.model)
            self._scale_lr()
            prepared.append(self.optim_wrapper)
        if param_scheduler is not None:
            self.param_schedulers = self.build_param_scheduler(param_scheduler, self.optim_wrapper)
            prepared.append(self.param_schedulers)
        return prepared if len(prepared) > 1 else self.model

    def _scale_lr(self) -> None:
        if self.auto_scale_lr and self.auto_scale_lr.get("enable", False):
            batch = self._facts.get("train_micro_batch_size_per_gpu")
            if not isinstance(batch, int):
                raise ValueError("auto_scale_lr needs dispatch_kwargs=dict(train_micro_batch_size_per_gpu=...)")
            optim.scale_lr(self.optim_wrapper, batch, self.world_size, self.auto_scale_lr)

    def build_model(self, model: nn.Module | dict[str, Any]) -> nn.Module:
        """The model, not yet on its device."""
        return models.build_model(model)

    def compile_model(self, model: nn.Module, compile: dict[str, Any] | bool = False) -> nn.Module:
        """The model, its forward compiled in place where that is asked for."""
        if compile:
            compile_model(model, compile)
        return model

    def build_optim_wrapper(self, optim_wrapper: Any, model: nn.Module | None = None) -> Any:
        """The optimizer with what surrounds it; ``model`` is the prepared one by default."""
        owner = model if model is not None else self.model
        return self.prepare_optim(owner, optim.build_optim_wrapper(optim_wrapper, owner))

    def build_param_scheduler(
        self, scheduler: Any, optim_wrapper: Any, default_args: dict[str, Any] | None = None
    ) -> Any:
        """The schedulers; ``default_args`` may hold ``epoch_length``, ``max_epochs`` and ``max_iters``."""
        facts = {**getattr(self, "_facts", {}), **(default_args or {})}
        ends = {"max_epochs": facts.get("max_epochs", 0), "max_iters": facts.get("max_iters", 0)}
        length = facts.get("epoch_length")
        return optim.build_param_schedulers(scheduler, optim_wrapper, epoch_length=length, **ends)

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> Any:
        """The logger, which writes to the console and to a file in ``log_dir``."""
        log_file = log_file or str(Path(self.log_dir) / f"{self.timestamp}.log")
        return observers.build_logger(kwargs.pop("name", self.experiment_name), log_level, log_file, **kwargs)

    def collect_env(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Facts on machine and software, and on this run."""
        from eng.compat.utils.dl_utils import collect_env

        run = {**self.env_kwargs, "seed": self.seed, "Distributed launcher": self.launcher}
        return collect_env(), {**run, "Distributed training": self.distributed, "GPU number": self.world_size}

    # --- state

    def model_state_dict(self) -> dict[str, Any]:
        """The weights under the plain names."""
        return self.model_state(self.model)

    def optim_state_dict(self) -> dict[str, Any]:
        """The optimizer's state."""
        return self.optim_state(self.model, self.optim_wrapper)

    def scheduler_state_dict(self) -> Any:
        """The schedulers' states: a list, or lists by name."""
        return collect.scheduler_states(self.param_schedulers)

    def load_model_state_dict(
        self,
        state_dict: dict[str, Any],
        *,
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = [(r"^module.", "")],  # noqa: B006  # read only, and the reference's
    ) -> None:
        """Loads weights."""
        self.load_model_state(self.model, {"state_dict": state_dict}, strict, revise_keys)

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads the optimizer's state."""
        self.load_optim_state(self.model, self.optim_wrapper, state_dict)

    def load_scheduler_state_dict(self, state_dict: dict[str, Any] | list[Any]) -> None:
        """Loads the schedulers' states."""
        restore.restore_schedulers(self.param_schedulers, state_dict)

    # --- checkpoints

    def load_checkpoint(
        self,
        filename: str,
        *,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = [(r"^module.", "")],  # noqa: B006  # read only, and the reference's
        callback: Callable[[dict[str, Any]], Any] | None = None,
    ) -> dict[str, Any]:
        """Takes the weights of a checkpoint, which ``callback`` sees first, and gives the checkpoint."""
        checkpoint = self.read(filename, map_location, self.model)
        if callback is not None:
            callback(checkpoint)
        self.load_model_state(self.model, checkpoint, strict, revise_keys)
        return checkpoint

    def resume(
        self,
        filename: str,
        *,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "default",
        callback: Callable[[dict[str, Any]], Any] | None = None,
    ) -> dict[str, Any]:
        """Takes weights, optimizer and schedulers of a checkpoint, and gives the checkpoint."""
        device = "cpu" if map_location == "default" else map_location
        checkpoint = self.load_checkpoint(filename, map_location=device, callback=callback)
        if resume_optimizer and self.optim_wrapper is not None and "optimizer" in checkpoint:
            self.load_optim_state_dict(checkpoint["optimizer"])
        if resume_param_scheduler and self.param_schedulers is not None and "param_schedulers" in checkpoint:
            self.load_scheduler_state_dict(checkpoint["param_schedulers"])
        return checkpoint

    def load_or_resume(self, *, load_from: str | None = None, resume: bool | str = False) -> dict[str, Any] | None:
        """Goes on from a checkpoint, or takes its weights; None where there is none."""
        beginning = choose_beginning(resume, load_from, self.work_dir)
        if beginning is None:
            return None
        return self.resume(beginning.path) if beginning.resume else self.load_checkpoint(beginning.path)

    def save_checkpoint(
        self,
        filename: str,
        *,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        extra_ckpt: dict[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        """Writes a checkpoint; all ranks call it.

        Args:
            filename: where, on any storage.
            save_optimizer: with the optimizer's state.
            save_param_scheduler: with the schedulers' states.
            extra_ckpt: further entries.
            callback: sees the checkpoint before it is written.
        """
        extra = dict(extra_ckpt or {})
        meta = {"seed": self.seed, "time": time.strftime("%Y%m%d_%H%M%S"), **extra.pop("meta", {})}
        checkpoint: dict[str, Any] = {"meta": meta, "state_dict": self.model_state_dict(), **extra}
        if save_optimizer and self.optim_wrapper is not None:
            checkpoint["optimizer"] = self.optim_state_dict()
        if save_param_scheduler and self.param_schedulers is not None:
            checkpoint["param_schedulers"] = self.scheduler_state_dict()
        if callback is not None:
            callback(checkpoint)
        self.checkpoint_writer(None, beside=False).save(self.portable(checkpoint), filename, lambda: None)

    # --- facts

    @property
    def dispatch_kwargs(self) -> dict[str, Any]:
        """Facts of the run that :meth:`prepare` was given: ``epoch_length``, ``max_epochs``, ``max_iters`` ..."""
        return getattr(self, "_facts", {})

    @property
    def logger(self) -> Any:
        """The current logger."""
        from eng.logging import MMLogger

        return MMLogger.get_current_instance()

    @property
    def work_dir(self) -> str:
        """Folder of the run."""
        return self._work_dir

    @work_dir.setter
    def work_dir(self, value: str) -> None:
        self._work_dir = str(Path(value).absolute())

    @property
    def log_dir(self) -> str:
        """Folder of this start's logs."""
        return str(Path(self.work_dir) / self.timestamp)

    @property
    def experiment_name(self) -> str:
        """Name of the run, with the time at which it started."""
        return f"{self._given_name}_{self.timestamp}" if self._given_name else self.timestamp

    @experiment_name.setter
    def experiment_name(self, value: str | None) -> None:
        self._given_name = value

    @property
    def launcher(self) -> str:
        """How the processes were started."""
        return str(self.env_kwargs.get("launcher") or "none")

    @property
    def randomness(self) -> dict[str, Any]:
        """Settings of the random generators."""
        return dict(self.env_kwargs.get("randomness") or {})

    @property
    def timestamp(self) -> str:
        """When the run started, the same on all ranks."""
        return self._opened[0]

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self._opened[1]

    @property
    def distributed(self) -> bool:
        """Whether this is one of several processes."""
        return is_distributed()

    @property
    def rank(self) -> int:
        """Number of this process."""
        return get_rank()

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return get_world_size()
