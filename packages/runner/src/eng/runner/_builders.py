"""How each part of a run is made; a subclass may make it in another way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from eng.dataset.utils import length_of

from . import environment
from ._facts import RunnerFacts
from .assemble import data, evaluation, loops, observers, optim
from .assemble import model as models
from .assemble import strategy as strategies


class Builders(RunnerFacts):
    """One method for each part of a run."""

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Prepares the process and takes the time stamp of the run."""
        environment.setup_environment(env_cfg, self._launcher)
        self._timestamp = environment.shared_timestamp()

    def set_randomness(
        self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False, per_sample: bool = True
    ) -> None:
        """Seeds every generator."""
        self._deterministic = deterministic
        self._per_sample = per_sample
        self._seed = environment.set_randomness(seed, diff_rank_seed, deterministic)

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> Any:
        """The run's logger, which writes to the console and to a file in ``log_dir``."""
        log_file = log_file or str(Path(self._log_dir) / f"{self._timestamp}.log")
        return observers.build_logger(kwargs.pop("name", self._experiment_name), log_level, log_file, **kwargs)

    def build_message_hub(self, message_hub: dict[str, Any] | None = None) -> Any:
        """The run's message hub."""
        return observers.build_message_hub(message_hub, self._experiment_name)

    def build_visualizer(self, visualizer: Any = None) -> Any:
        """The run's visualizer."""
        return observers.build_visualizer(visualizer, self._experiment_name, self._log_dir)

    def build_log_processor(self, log_processor: Any) -> Any:
        """What puts logs into lines."""
        return observers.build_log_processor(log_processor)

    def build_model(self, model: nn.Module | dict[str, Any]) -> nn.Module:
        """The model."""
        return models.build_model(model)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """The model on its device, wrapped where the strategy or ``model_wrapper_cfg`` says so."""
        return strategies.place_model(self.strategy, model, model_wrapper_cfg, self.cfg)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """The optimizer with what surrounds it."""
        return self.strategy.prepare_optim(self.model, optim.build_optim_wrapper(optim_wrapper, self.model))

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """The parameter schedulers."""
        epoch_length = length_of(self.train_dataloader)
        counts_iterations = getattr(self._train.value, "counts_iterations", False)
        ends: dict[str, Any] = {
            "max_epochs": self.max_epochs, "max_iters": self.max_iters, "by_epoch": not counts_iterations,
        }  # fmt: skip
        return optim.build_param_schedulers(scheduler, self.optim_wrapper, epoch_length=epoch_length, **ends)

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: dict[str, Any] | None = None) -> None:
        """Scales learning rates by the batch size where ``auto_scale_lr`` enables that."""
        if auto_scale_lr and auto_scale_lr.get("enable", False):
            batch_size = data.batch_size_of(self.train_dataloader)
            optim.scale_lr(optim_wrapper, batch_size, self.world_size, auto_scale_lr)

    def build_evaluator(self, evaluator: Any) -> Any:
        """An evaluator."""
        return evaluation.build_evaluator(evaluator)

    @staticmethod
    def build_dataloader(
        dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False, per_sample: bool = True
    ) -> Any:
        """A dataloader."""
        return data.build_dataloader(dataloader, seed=seed, diff_rank_seed=diff_rank_seed, per_sample=per_sample)

    def build_train_loop(self, loop: Any) -> Any:
        """The training loop."""
        return loops.build_train_loop(loop, self, self._settings["train_dataloader"])

    def build_val_loop(self, loop: Any) -> Any:
        """The validation loop."""
        parts = self._settings["val_dataloader"], self._settings["val_evaluator"]
        return loops.build_evaluation_loop("val", loop, self, *parts)

    def build_test_loop(self, loop: Any) -> Any:
        """The test loop."""
        parts = self._settings["test_dataloader"], self._settings["test_evaluator"]
        return loops.build_evaluation_loop("test", loop, self, *parts)
