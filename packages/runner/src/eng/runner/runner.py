"""Runner: builds the parts of a run, and trains, validates and tests with them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from eng.checkpoint import CheckpointWriter
from eng.checkpoint.unwrap import model_name
from eng.config import Config
from eng.dataset.utils import length_of
from eng.dist import get_data_world_size, get_rank, get_world_size, is_distributed
from eng.hooks import Hook
from eng.hooks.preemption import Preemption
from eng.hooks.preemption_hook import preemption_of
from eng.logging import MessageHub, MMLogger
from eng.optim import OptimWrapper
from eng.registry import RUNNERS, DefaultScope
from eng.runner.persistence import MapLocation

from . import environment
from .assemble import data, evaluation, loops, observers, optim
from .assemble import hooks as hook_parts
from .assemble import model as models
from .assemble import strategy as strategies
from .assemble.compilation import compile_model
from .assemble.hooks import HooksByName, HookSetting
from .assemble.preparation import prepare_model
from .closing import log_closing
from .course import evaluate, running, train_to_the_end
from .fact import fact, part
from .hook_list import HookList
from .lazy import Lazy
from .loops import BaseLoop
from .loops.foreign import as_base_loop
from .oom import split_where_asked
from .optimizer_modes import follow_modes
from .passport import Passport, write_passport
from .priority import Priority
from .settings import Randomness, RunnerSettings
from .spec import arguments_from_cfg, arguments_taken_by, as_config, check_config, takes_fields_of
from .state.collect import Schedulers
from .state.run_state import RunState
from .tuners import tuner
from .work_dir import claim_name, occupied


@RUNNERS.register_module()
class Runner:
    """Trains, validates and tests a model.

    Every part may be an object or a config; a part that is a config is built when it is first needed. Each argument is
    a field of :class:`eng.runner.settings.RunnerSettings`, which says what it means.

    Raises:
        SettingsError: settings that do not fit together; what is missing is named.

    Attributes:
        settings: the arguments of the Runner, as one value.
        hook_list: the hooks, by priority; the hook list calls them at each hook point.
        state: collects the state of the run into checkpoints, and restores it from a checkpoint.
        strategy: places the model on its devices: one device, DDP, FSDP2, DeepSpeed.
        model: the model; a strategy of several ranks puts it into a wrapper.
        timestamp: when the run started: ``YYYYmmdd_HHMMSS``, the same on all ranks.
        work_dir: folder of the checkpoints; each launch of the run has a timestamped subfolder in it, ``log_dir``.
        experiment_name: name under which ``MMLogger.get_instance``, ``MessageHub.get_instance`` and
            ``Visualizer.get_instance`` return the logger, message hub and visualizer of this run.
    """

    model: nn.Module
    logger: logging.Logger
    timestamp: str

    @takes_fields_of(RunnerSettings)
    def __init__(self, settings: RunnerSettings) -> None:
        self.settings = settings
        self.cfg = as_config(settings.cfg)
        self.launcher, self.auto_scale_lr = settings.launcher, settings.auto_scale_lr
        self.work_dir = environment.local_work_dir(settings.work_dir)
        self.state = RunState(self)
        self.train_part = Lazy(settings.train_cfg, self.build_train_loop)
        self.val_part = Lazy(settings.val_cfg, self.build_val_loop)
        self.test_part = Lazy(settings.test_cfg, self.build_test_loop)
        self.optim_part = Lazy(settings.optim_wrapper, self.build_optim_wrapper)
        self.scheduler_part = Lazy(settings.param_scheduler, self.build_param_scheduler)
        self.setup_env(settings.env_cfg)
        self.set_randomness(**settings.randomness)
        claimed = claim_name(self.work_dir, self.timestamp, settings.experiment_name, self.cfg.filename)
        self.timestamp, self.experiment_name = claimed
        self.log_dir = str(Path(self.work_dir) / self.timestamp)
        self.default_scope = settings.default_scope or "eng"
        self.passport = Passport(self.log_dir, self.state.code)
        self._open_logs(settings)
        with observers.closed_on_failure(self.visualizer, is_own=self.visualizer is not settings.visualizer):
            wrapper_cfg = self.cfg.get("model_wrapper_cfg")
            self.strategy = strategies.strategy_of(settings, self.work_dir, wrapper_cfg)
            with_loss = models.with_loss(settings.model, settings.loss)
            built = self.build_model(models.with_data_preprocessor(with_loss, settings.data_preprocessor))
            self.model_name = model_name(built)
            prepare_model(built, settings, is_flattened=self.strategy.needs_its_wrapper)
            self.model = self.wrap_model(wrapper_cfg, built)
            models.check_steps(self.model, settings.modes())
            self.hook_list = HookList(self.logger)
            self.register_hooks(settings.default_hooks, settings.custom_hooks)
            hook_parts.log_table(self.get_hooks_info(), self.logger)
            self.dump_config()

    def _open_logs(self, settings: RunnerSettings) -> None:
        """Builds logger, message hub and visualizer, which ``get_instance(experiment_name)`` finds afterwards.

        When the Runner is garbage-collected, those that it built itself are closed and their names become free.
        """
        scope = DefaultScope.get_instance(self.experiment_name, scope_name=self.default_scope)
        self.log_processor = self.build_log_processor(settings.log_processor or {})
        self.logger = self.build_logger(log_level=settings.log_level)
        environment.log_environment(self.logger, settings.randomness, self.seed, self.launcher, self.cfg.pretty_text)
        self.message_hub = self.build_message_hub()
        self.visualizer: Any = self.build_visualizer(settings.visualizer)
        known_by_name = (scope, self.logger, self.message_hub, self.visualizer)
        observers.forget_after(self, [part for part in known_by_name if part is not settings.visualizer])
        observers.begin_curves(self.visualizer, self.state.moment, self.cfg)

    def dump_config(self) -> None:
        """Writes the config into ``work_dir``, on rank 0, under the name of the config's file.

        A config that was not read from a file gets a name from ``timestamp``.
        """
        environment.dump_config(self.cfg, self.work_dir, f"{self.timestamp}.py", self.logger)

    @classmethod
    def from_cfg(cls, cfg: Config | Mapping[str, Any], *, check: bool = True) -> Runner:
        """Builds a Runner from a config, after a check of the complete config unless ``check`` is False.

        Raises:
            SettingsError: a setting is missing or wrong; the message lists all mistakes that the check finds.
        """
        if check:
            check_config(cfg, cls)
        return cls(**arguments_taken_by(cls, arguments_from_cfg(cfg)))

    def train(self) -> nn.Module:
        """Trains the model and returns it.

        Raises:
            MissingPartError: ``train_dataloader``, ``train_cfg`` or ``optim_wrapper`` is None.
            RunInterrupted: a signal or the time budget ended the run; a checkpoint was saved.
        """
        self.settings.need("train()", "train_dataloader", "train_cfg", "optim_wrapper")
        self.state.begin_training()
        began = time.monotonic()
        with occupied(self.work_dir, self.experiment_name), running(self):
            loop, optim_wrapper = as_base_loop(self.train_part.need()), self.optim_part.need()
            self.scale_lr(optim_wrapper, self.auto_scale_lr)
            schedulers = self.scheduler_part.get()
            hook_parts.warn_without_validation(self.val_loop, self.hooks, schedulers, self.logger)
            self.call_hook("before_run")
            self.state.init_weights()
            self.load_or_resume()
            self.state.start_counting(self.iter, self.max_iters)
            follow_modes(self)
            split_where_asked(loop, self.settings.on_oom, self.model, optim_wrapper)
            compile_model(self.model, self.settings.compile or self.cfg.get("compile", False))
            write_passport(self)
            loops.warn_if_nothing_is_left(loop, self.logger)
            train_to_the_end(self, loop)
        log_closing(self, began)
        return self.model

    def val(self) -> dict[str, float]:
        """Validates the model and returns the metrics.

        Raises MissingPartError if ``val_dataloader`` or ``val_cfg`` is None.
        """
        return evaluate(self, "val", self.val_part)

    def test(self) -> dict[str, float]:
        """Tests the model and returns the metrics.

        Raises MissingPartError if ``test_dataloader`` or ``test_cfg`` is None.
        """
        return evaluate(self, "test", self.test_part)

    def tune(self, setting: str, **options: Any) -> Any:
        """Measures a good learning rate, batch size or number of worker processes for this run, with eng-tune.

        Args:
            setting: ``"lr"``, ``"batch"`` or ``"workers"``.
            options: keyword arguments of the eng-tune function for this setting.

        Raises:
            SettingsError: eng-tune is not installed, or ``setting`` is none of the three.
        """
        return tuner(setting)(self, **options)

    def run_facts(self) -> dict[str, Any]:
        """Returns config, code, data, world size and versions of this run, to compare the run with another run."""
        return self.state.facts()

    # --- Properties, read from the loops, the hooks and the process group.

    epoch: int = fact(lambda run: loops.training_so_far(run).epoch, "Completed epochs of training.")
    iter: int = fact(lambda run: loops.training_so_far(run).iter, "Completed iterations of training.")
    max_epochs: int = fact(lambda run: loops.training(run).max_epochs, "Epochs at which training ends.")
    max_iters: int = fact(lambda run: loops.training(run).max_iters, "Iterations at which training ends.")
    built_loops: dict[str, BaseLoop] = fact(loops.built_loops, "The loops built so far, by mode.")
    val_interval: Any = fact(lambda run: loops.training(run).val_interval, "Epochs or iterations between validations.")
    val_begin: int = fact(lambda run: loops.training(run).val_begin, "Epoch or iteration of the first validation.")
    is_resuming: bool = fact(lambda run: bool(run.state.resume_setting), "Whether the run resumes from a checkpoint.")
    hooks: list[Hook] = fact(lambda run: run.hook_list.hooks, "The hooks, in the order of their calls.")
    distributed: bool = fact(lambda run: is_distributed(), "Whether a process group exists.")
    rank: int = fact(lambda run: get_rank(), "Rank of this process.")
    world_size: int = fact(lambda run: get_world_size(), "Number of processes.")
    preemption: Preemption | None = fact(lambda run: preemption_of(run.hooks), "Records signals and the time budget.")
    train_loop: Any = fact(lambda run: run.train_part.get(), "The training loop, built when it is first read.")
    val_loop: Any = fact(lambda run: run.val_part.get(), "The validation loop, built when it is first read.")
    test_loop: Any = fact(lambda run: run.test_part.get(), "The test loop, built when it is first read.")
    train_dataloader: Any = loops.part_of_loop("train", "dataloader")
    val_dataloader: Any = loops.part_of_loop("val", "dataloader")
    test_dataloader: Any = loops.part_of_loop("test", "dataloader")
    val_evaluator: Any = loops.part_of_loop("val", "evaluator")
    test_evaluator: Any = loops.part_of_loop("test", "evaluator")
    optim_wrapper: Any = part("optim_part", "The optimizer wrapper; before it is built, its config.")
    param_schedulers: Any = part("scheduler_part", "The parameter schedulers; before they are built, their configs.")

    # --- Builders of the parts. A subclass may override each of them.

    def setup_env(self, env_cfg: Mapping[str, Any]) -> None:
        """Applies ``env_cfg`` to this process, starts the process group, and sets ``timestamp``."""
        environment.setup_environment(env_cfg, self.launcher)
        self.timestamp = environment.shared_timestamp()

    def set_randomness(
        self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False, per_sample: bool = True
    ) -> None:
        """Seeds the random generators of Python, NumPy and torch, and sets ``seed``."""
        self.randomness = Randomness(
            seed=seed, diff_rank_seed=diff_rank_seed, deterministic=deterministic, per_sample=per_sample
        )
        self.deterministic = deterministic
        self.seed = environment.set_randomness(seed, diff_rank_seed, deterministic)

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """Builds the run's logger, which writes to the console and to a file in ``log_dir``."""
        log_file = log_file or str(Path(self.log_dir) / f"{self.timestamp}.log")
        return observers.build_logger(kwargs.pop("name", self.experiment_name), log_level, log_file, **kwargs)

    def build_message_hub(self, message_hub: MessageHub | Mapping[str, Any] | None = None) -> MessageHub:
        """Builds the run's message hub, which holds logged values and facts."""
        return observers.build_message_hub(message_hub, self.experiment_name)

    def build_visualizer(self, visualizer: object = None) -> Any:
        """Builds the run's visualizer, which writes scalars and images to its backends."""
        return observers.build_visualizer(visualizer, self.experiment_name, self.log_dir)

    def build_log_processor(self, log_processor: object) -> Any:
        """Builds the log processor, which formats logged values as lines."""
        return observers.build_log_processor(log_processor)

    def build_model(self, model: nn.Module | Mapping[str, Any]) -> nn.Module:
        """Builds the model."""
        return models.build_model(model)

    def wrap_model(self, model_wrapper_cfg: Mapping[str, Any] | None, model: nn.Module) -> nn.Module:
        """Moves the model to its device, and wraps it as the strategy or ``model_wrapper_cfg`` demands."""
        return strategies.place_model(self.strategy, model, model_wrapper_cfg, self.cfg)

    def build_optim_wrapper(self, optim_wrapper: object) -> OptimWrapper:
        """Builds the optimizer and its wrapper."""
        return self.strategy.prepare_optim(self.model, optim.build_optim_wrapper(optim_wrapper, self.model))

    def build_param_scheduler(self, scheduler: object) -> Schedulers:
        """Builds the parameter schedulers."""
        return optim.build_param_schedulers(
            scheduler,
            self.optim_wrapper,
            epoch_length=length_of(self.train_dataloader),
            max_epochs=self.max_epochs,
            max_iters=self.max_iters,
            by_epoch=not loops.training(self).counts_iterations,
        )

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: Mapping[str, Any] | None = None) -> None:
        """Multiplies learning rates by the global batch size over ``base_batch_size``, if ``enable=True`` is set.

        Both keys belong to ``auto_scale_lr``; ``base_batch_size`` is the global batch size of the tuned learning rates.
        """
        if auto_scale_lr and auto_scale_lr.get("enable", False):
            batch_size = data.batch_size_of(self.train_dataloader)
            optim.scale_lr(optim_wrapper, batch_size, get_data_world_size(), auto_scale_lr)

    def build_evaluator(self, evaluator: object) -> Any:
        """Builds an evaluator from metrics or their configs."""
        return evaluation.build_evaluator(evaluator)

    @staticmethod
    def build_dataloader(
        dataloader: object, seed: int | None = None, diff_rank_seed: bool = False, per_sample: bool = True
    ) -> Any:
        """Builds a dataloader; :func:`eng.runner.assemble.data.build_dataloader` says what the arguments mean."""
        return data.build_dataloader(dataloader, seed=seed, diff_rank_seed=diff_rank_seed, per_sample=per_sample)

    def build_train_loop(self, loop: object) -> BaseLoop:
        """Builds the training loop."""
        return loops.build_train_loop(loop, self, self.settings.train_dataloader)

    def build_val_loop(self, loop: object) -> BaseLoop:
        """Builds the validation loop."""
        return loops.build_evaluation_loop("val", loop, self, self.settings.val_dataloader, self.settings.val_evaluator)

    def build_test_loop(self, loop: object) -> BaseLoop:
        """Builds the test loop."""
        settings = self.settings
        return loops.build_evaluation_loop("test", loop, self, settings.test_dataloader, settings.test_evaluator)

    # --- Hooks.

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Calls every hook that acts at the hook point ``fn_name``, in the order of their priorities."""
        self.hook_list.call(fn_name, self, **kwargs)

    call_hooks = call_hook  # MMEngine's manual writes ``call_hooks`` and its code ``call_hook``; both work.

    def after_this_point(self, action: Callable[[], None]) -> None:
        """Calls ``action`` once, when all hooks of the current hook point have run."""
        self.hook_list.after_point(action)

    def register_hook(self, hook: HookSetting, priority: str | int | Priority | None = None) -> None:
        """Adds a hook, which is an object or a config.

        Args:
            hook: the hook or its config.
            priority: priority of the hook. None (default) uses the ``priority`` in the config or, if the config has
                none, the hook's own.

        Raises:
            TypeError: ``hook`` is neither a hook nor a config, or a method does not take the arguments of its hook
                point.
        """
        built, in_config = hook_parts.build_hook(hook)
        self.hook_list.register(built, in_config if priority is None else priority)

    def register_default_hooks(self, hooks: HooksByName | None = None) -> None:
        """Adds the default hooks; an entry of ``hooks`` replaces the default hook of its name, None leaves it out."""
        self.register_custom_hooks(hook_parts.default_hooks_of(self.settings, hooks))

    def register_custom_hooks(self, hooks: list[HookSetting]) -> None:
        """Adds hooks, given as objects or configs, beside the default hooks."""
        for hook in hooks:
            self.register_hook(hook)

    def register_hooks(
        self, default_hooks: HooksByName | None = None, custom_hooks: list[HookSetting] | None = None
    ) -> None:
        """Adds the default hooks and the custom hooks."""
        self.register_default_hooks(default_hooks)
        self.register_custom_hooks(custom_hooks or [])

    def get_hooks_info(self) -> str:
        """Returns a table, as text, of the hooks that act at each hook point."""
        return self.hook_list.table()

    # --- Checkpoints.

    def load_or_resume(self) -> None:
        """Resumes from the checkpoint of ``resume``, or loads the weights of ``load_from``; does so only once."""
        self.state.begin()

    def load_checkpoint(
        self,
        filename: str,
        map_location: MapLocation = "cpu",
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = [(r"^module.", "")],  # noqa: B006  - read only; MMEngine's default
        *,
        verify: bool = True,
    ) -> dict[str, Any]:
        """Loads the weights of a checkpoint into the model, and returns the complete checkpoint.

        The arguments are those of ``RunState.load_weights``.
        """
        return self.state.load_weights(filename, map_location, strict, revise_keys, verify)

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: MapLocation = "default",
    ) -> None:
        """Restores the run that saved a checkpoint; the arguments are those of ``RunState.resume``.

        Raises:
            ResumeError: the checkpoint holds only weights, or its optimizer or schedulers do not fit this run's.
        """
        self.state.resume(filename, resume_optimizer, resume_param_scheduler, map_location)

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict[str, Any] | None = None,
        by_epoch: bool | None = True,
        backend_args: dict[str, Any] | None = None,
        *,
        save_trainable_only: bool = False,
        writer: CheckpointWriter | None = None,
        on_intact: Callable[[], None] = lambda: None,
    ) -> None:
        """Saves a checkpoint from which ``resume`` continues as if the run had not stopped. All ranks must call it.

        The arguments are those of ``RunState.save`` and ``RunState.collect``. ``file_client_args`` is MMEngine's old
        name of ``backend_args``. ``by_epoch`` has no effect: the loop knows the position of the run.

        Raises:
            TypeError: ``meta`` is no dict.
            CheckpointWriteError: the file cannot be written; no partial file remains.
        """
        storage = file_client_args if backend_args is None else backend_args
        contents = partial(self.collect_checkpoint, save_optimizer, save_param_scheduler, meta)
        self.state.save((out_dir, filename), storage, contents, save_trainable_only, writer, on_intact)

    def collect_checkpoint(
        self, save_optimizer: bool = True, save_param_scheduler: bool = True, meta: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Returns the state of the run as a checkpoint. All ranks must call this method.

        The entries that hooks add in ``before_save_checkpoint`` are not part of it.
        """
        return self.state.collect(save_optimizer, save_param_scheduler, meta)
