"""MMEngine's base strategy, which prepares, saves and loads model, optimizer and schedulers without a runner."""

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
    """Base class of MMEngine's strategies, which, unlike the strategies of eng, work without a runner too.

    Args:
        work_dir: folder of the run.
        experiment_name: name of the run; None (default) uses its start time.
        env_kwargs: ``launcher``, ``randomness`` and arguments of :func:`eng.runner.environment.setup_environment`.
        log_kwargs: arguments of the logger.
        auto_scale_lr: settings for scaling the learning rate, such as ``dict(enable=True, base_batch_size=N)``.
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
        """Start time and random seed of the run.

        The first access creates the process group and sets the random seed of this process.
        """
        settings = {key: value for key, value in self.env_kwargs.items() if key not in ("launcher", "randomness")}
        if self.launcher != "none":
            self._setup_distributed(self.launcher, **dict(settings.get("dist_cfg") or {}))
        environment.setup_environment(settings, self.launcher)
        stamp = environment.shared_timestamp()
        return stamp, set_random_seed(**{"seed": None, **self.randomness})

    def _setup_distributed(self, launcher: str | None = None, backend: str = "nccl", **kwargs: Any) -> None:
        """Creates the process group, unless there is one already. Subclasses in old code override this method.

        Args:
            launcher: ``"pytorch"``, ``"slurm"`` or ``"mpi"``.
            backend: backend of the process group.
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
        """Builds the model and moves it to its devices; also builds optimizer wrapper and schedulers if requested.

        Args:
            model: a model or its config.
            optim_wrapper: an optimizer wrapper or its config.
            param_scheduler: schedulers or their configs.
            compile: whether to compile the model: True, or options of ``torch.nn.Module.compile``.
            dispatch_kwargs: ``epoch_length``, ``max_epochs``, ``max_iters`` and ``train_micro_batch_size_per_gpu`` of
                the run, as far as schedulers or ``auto_scale_lr`` need them.

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
        """Scales the learning rate with the global batch size, if ``auto_scale_lr`` is enabled.

        Raises:
            ValueError: the batch size per GPU is missing in the argument ``dispatch_kwargs`` of `prepare`.
        """
        if self.auto_scale_lr and self.auto_scale_lr.get("enable", False):
            batch = self._facts.get("train_micro_batch_size_per_gpu")
            if not isinstance(batch, int):
                raise ValueError("auto_scale_lr needs dispatch_kwargs=dict(train_micro_batch_size_per_gpu=...)")
            optim.scale_lr(self.optim_wrapper, batch, self.world_size, self.auto_scale_lr)

    def build_model(self, model: nn.Module | dict[str, Any]) -> nn.Module:
        """Builds the model; it is not moved to a device."""
        return models.build_model(model)

    def compile_model(self, model: nn.Module, compile: dict[str, Any] | bool = False) -> nn.Module:
        """Returns the model; if `compile` is set, its forward is compiled in place."""
        if compile:
            compile_model(model, compile)
        return model

    def build_optim_wrapper(self, optim_wrapper: Any, model: nn.Module | None = None) -> Any:
        """Builds the optimizer wrapper for ``model``, by default the prepared model."""
        owner = model if model is not None else self.model
        return self.prepare_optim(owner, optim.build_optim_wrapper(optim_wrapper, owner))

    def build_param_scheduler(
        self, scheduler: Any, optim_wrapper: Any, default_args: dict[str, Any] | None = None
    ) -> Any:
        """Builds the parameter schedulers; ``default_args`` may set ``epoch_length``, ``max_epochs`` and ``max_iters``."""
        facts = {**getattr(self, "_facts", {}), **(default_args or {})}
        ends = {"max_epochs": facts.get("max_epochs", 0), "max_iters": facts.get("max_iters", 0)}
        length = facts.get("epoch_length")
        return optim.build_param_schedulers(scheduler, optim_wrapper, epoch_length=length, **ends)

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> Any:
        """Builds a logger that writes to the console and to a file in ``log_dir``."""
        log_file = log_file or str(Path(self.log_dir) / f"{self.timestamp}.log")
        return observers.build_logger(kwargs.pop("name", self.experiment_name), log_level, log_file, **kwargs)

    def collect_env(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns information about machine and software, and about this run."""
        from eng.compat.utils.dl_utils import collect_env

        run = {**self.env_kwargs, "seed": self.seed, "Distributed launcher": self.launcher}
        return collect_env(), {**run, "Distributed training": self.distributed, "GPU number": self.world_size}

    def model_state_dict(self) -> dict[str, Any]:
        """Returns the state dict of the model, without prefixes of wrappers such as ``module.``."""
        return self.model_state(self.model)

    def optim_state_dict(self) -> dict[str, Any]:
        """Returns the state of the optimizer wrapper."""
        return self.optim_state(self.model, self.optim_wrapper)

    def scheduler_state_dict(self) -> Any:
        """Returns the states of the schedulers: a list, or lists by name of the optimizer."""
        return collect.scheduler_states(self.param_schedulers)

    def load_model_state_dict(
        self,
        state_dict: dict[str, Any],
        *,
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = [(r"^module.", "")],  # noqa: B006  # MMEngine's default, which is never changed
    ) -> None:
        """Loads a state dict into the model."""
        self.load_model_state(self.model, {"state_dict": state_dict}, strict, revise_keys)

    def load_optim_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads the state of the optimizer wrapper."""
        self.load_optim_state(self.model, self.optim_wrapper, state_dict)

    def load_scheduler_state_dict(self, state_dict: dict[str, Any] | list[Any]) -> None:
        """Loads the states of the parameter schedulers."""
        restore.restore_schedulers(self.param_schedulers, state_dict)

    # --- loading and saving checkpoints

    def load_checkpoint(
        self,
        filename: str,
        *,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = [(r"^module.", "")],  # noqa: B006  # MMEngine's default, which is never changed
        callback: Callable[[dict[str, Any]], Any] | None = None,
    ) -> dict[str, Any]:
        """Loads the weights of a checkpoint into the model and returns the checkpoint.

        Before the weights are loaded, ``callback`` is called with the checkpoint and may change it.
        """
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
        """Restores model, optimizer and schedulers from a checkpoint and returns the checkpoint."""
        device = "cpu" if map_location == "default" else map_location
        checkpoint = self.load_checkpoint(filename, map_location=device, callback=callback)
        if resume_optimizer and self.optim_wrapper is not None and "optimizer" in checkpoint:
            self.load_optim_state_dict(checkpoint["optimizer"])
        if resume_param_scheduler and self.param_schedulers is not None and "param_schedulers" in checkpoint:
            self.load_scheduler_state_dict(checkpoint["param_schedulers"])
        return checkpoint

    def load_or_resume(self, *, load_from: str | None = None, resume: bool | str = False) -> dict[str, Any] | None:
        """Resumes the run from a checkpoint, or only loads the weights of a checkpoint; returns the checkpoint.

        The result is None if no checkpoint is given, or if the run should resume and has no checkpoint yet.
        """
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
        """Writes a checkpoint; all ranks must call it.

        Args:
            filename: path or URI of the checkpoint.
            save_optimizer: whether to include the optimizer state.
            save_param_scheduler: whether to include the states of the schedulers.
            extra_ckpt: further entries of the checkpoint.
            callback: called with the checkpoint before it is written.
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

    # --- properties: logger, folders, name, launcher

    @property
    def dispatch_kwargs(self) -> dict[str, Any]:
        """The argument ``dispatch_kwargs`` of :meth:`prepare`: ``epoch_length``, ``max_epochs`` and so on."""
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
        """Folder of the logs of this run: a subfolder of ``work_dir`` named after the start time."""
        return str(Path(self.work_dir) / self.timestamp)

    @property
    def experiment_name(self) -> str:
        """Name of the run followed by its start time."""
        return f"{self._given_name}_{self.timestamp}" if self._given_name else self.timestamp

    @experiment_name.setter
    def experiment_name(self, value: str | None) -> None:
        self._given_name = value

    @property
    def launcher(self) -> str:
        """The launcher of the processes; ``"none"`` without one."""
        return str(self.env_kwargs.get("launcher") or "none")

    @property
    def randomness(self) -> dict[str, Any]:
        """Settings of the random generators, such as ``seed`` and ``deterministic``."""
        return dict(self.env_kwargs.get("randomness") or {})

    @property
    def timestamp(self) -> str:
        """Start time of the run as text, equal on all ranks."""
        return self._opened[0]

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self._opened[1]

    @property
    def distributed(self) -> bool:
        """Whether this process belongs to a process group."""
        return is_distributed()

    @property
    def rank(self) -> int:
        """Rank of this process."""
        return get_rank()

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return get_world_size()
