"""Runner: the parts of a run and the order in which they meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from eng.dist import get_rank, get_world_size, is_distributed
from eng.hooks import Hook
from eng.registry import RUNNERS, DefaultScope

from . import environment, persistence
from ._slot import Slot
from .assemble import data, evaluation, loops, model, observers, optim
from .assemble import strategy as strategies
from .dispatch import Dispatcher, owner_name
from .errors import MissingPartError, NonFiniteLossError, RunInterrupted
from .finite import FiniteWatch, StepGuard, policy_and_interval
from .preemption import Preemption
from .priority import Priority, get_priority
from .spec import arguments_from_cfg, as_config, check_config, check_settings
from .state import collect, restore
from .state.policy import choose_beginning

# How a training run meets its parts; each is a method of the Runner called ``_<name>``.
TRAIN_ORDER = (
    "build_train_loop",
    "build_optim_wrapper",
    "scale_learning_rates",
    "build_param_schedulers",
    "build_val_loop",
    "before_run",
    "init_weights",
    "load_or_resume",
    "start_counting",
    "guard_steps",
    "compile_model",
    "run_train_loop",
)


@RUNNERS.register_module()
class Runner:
    """Trains, validates and tests a model.

    Every part may be an object or a config; a part that is a config is built when it is first needed.

    Args:
        model: a module with ``train_step``, ``val_step`` and ``test_step`` (see :class:`eng.model.BaseModel`).
        work_dir: folder of checkpoints; each start keeps its logs in ``work_dir/<timestamp>``.
        train_dataloader: batches to train on.
        val_dataloader: batches to validate on.
        test_dataloader: batches to test on.
        train_cfg: ``dict(by_epoch=True, max_epochs=..., val_begin=1, val_interval=1)``, or the config of a loop.
        val_cfg: ``dict()`` or ``dict(fp16=..., loss=...)``, or the config of a loop.
        test_cfg: the same for the test.
        auto_scale_lr: ``dict(enable=True, base_batch_size=N)`` scales learning rates by the batch size over N.
        optim_wrapper: the optimizer, with what surrounds it.
        param_scheduler: one scheduler, several, or some for each of several optimizers.
        val_evaluator: metrics of the validation.
        test_evaluator: metrics of the test.
        default_hooks: replaces or, with None as a value, leaves out some of the six default hooks, by name.
        custom_hooks: further hooks.
        data_preprocessor: config for a model that is a config without one.
        load_from: checkpoint to begin with.
        resume: True to go on from ``load_from`` or, without it, from the newest whole checkpoint in ``work_dir``.
        launcher: ``"none"``, ``"pytorch"``, ``"slurm"`` or ``"mpi"``.
        env_cfg: see :func:`eng.runner.environment.setup_environment`.
        log_processor: how logs are put into lines.
        log_level: level of the run's logger.
        visualizer: where scalars and images go; ``dict(type="Visualizer", vis_backends=[...])``.
        default_scope: scope of the registries in which names are looked up first.
        randomness: ``dict(seed=None, diff_rank_seed=False, deterministic=False, per_sample=True)``; ``per_sample`` makes
            random numbers in transforms a function of seed, epoch and sample.
        experiment_name: name of the run; None (default) takes the name of the config file.
        cfg: the whole config, for the log and for other parts to read.
        strategy: how the model lives on its devices; None (default) is one device, or DDP in a process group.
        compile: True, or options of ``torch.nn.Module.compile``.
        activation_checkpointing: names of modules that compute their activations again in the backward pass.
        nan_policy: ``"warn"`` (default), ``"stop"``, ``"skip"`` or ``"rollback"``, or
            ``dict(type=..., interval=...)``: what happens when a loss is not finite.
        preemption: options of :class:`eng.runner.preemption.Preemption`, such as ``dict(time_budget_s=3600)``;
            None (default) ends the run on SIGTERM and SIGUSR1.

    Raises:
        SettingsError: settings that do not fit together; what is missing is named.

    Example:
        >>> import tempfile, torch
        >>> from eng.model import BaseModel
        >>> class Line(BaseModel):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.fit = torch.nn.Linear(1, 1)
        ...     def forward(self, x, y, mode="tensor"):
        ...         return {"loss": (self.fit(x) - y).square().mean()}
        >>> x = torch.linspace(0, 1, 8)[:, None]
        >>> batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x), batch_size=4)
        >>> runner = Runner(
        ...     Line(), tempfile.mkdtemp(), train_dataloader=batches, train_cfg=dict(max_epochs=2), log_level="ERROR",
        ...     optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)))
        >>> _ = runner.train()
        >>> runner.epoch, runner.iter
        (2, 4)
    """

    def __init__(
        self,
        model: nn.Module | dict[str, Any],
        work_dir: str,
        train_dataloader: Any = None,
        val_dataloader: Any = None,
        test_dataloader: Any = None,
        train_cfg: dict[str, Any] | None = None,
        val_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        auto_scale_lr: dict[str, Any] | None = None,
        optim_wrapper: Any = None,
        param_scheduler: Any = None,
        val_evaluator: Any = None,
        test_evaluator: Any = None,
        default_hooks: dict[str, Any] | None = None,
        custom_hooks: list[Any] | None = None,
        data_preprocessor: Any = None,
        load_from: str | None = None,
        resume: bool | str = False,
        launcher: str = "none",
        env_cfg: dict[str, Any] = {"dist_cfg": {"backend": "nccl"}},  # noqa: B006  - read only, and the reference's
        log_processor: Any = None,
        log_level: str = "INFO",
        visualizer: Any = None,
        default_scope: str = "eng",
        randomness: dict[str, Any] = {"seed": None},  # noqa: B006  - read only, and the reference's
        experiment_name: str | None = None,
        cfg: Any = None,
        strategy: Any = None,
        compile: bool | dict[str, Any] = False,
        activation_checkpointing: list[str] | str | None = None,
        nan_policy: str | dict[str, Any] = "warn",
        preemption: dict[str, Any] | None = None,
    ) -> None:
        settings = {key: value for key, value in locals().items() if key != "self"}
        check_settings(settings)
        self._work_dir = str(Path(work_dir).absolute())
        self.cfg = as_config(cfg)
        self._settings = settings
        self._launcher = launcher
        self._randomness_cfg = dict(randomness)
        self._saved_accumulation: Any = None
        self._has_begun_training = False
        self._load_from, self._resume, self._has_loaded = load_from, resume, False
        self._train = Slot(train_cfg, self.build_train_loop)
        self._val = Slot(val_cfg, self.build_val_loop)
        self._test = Slot(test_cfg, self.build_test_loop)
        self.optim_wrapper: Any = optim_wrapper
        self.param_schedulers: Any = param_scheduler
        self._open_environment(env_cfg, experiment_name, default_scope)
        self._open_logs(log_level, log_processor, visualizer)
        self._open_model(model, data_preprocessor, strategy, activation_checkpointing)
        self._hooks: list[Hook] = []
        self._dispatch = Dispatcher(self._hooks)
        self._point: str | None = None
        self._afterwards: list[Callable[[], None]] = []
        self.preemption = Preemption(**(preemption or {}))
        self._dispatch.call_last("after_train_iter", self._safe_point)
        self._dispatch.call_last("after_val_iter", self._safe_point)
        self._dispatch.call_last("after_test_iter", self._safe_point)
        self.register_hooks(default_hooks, custom_hooks)
        self.logger.info(f"Hooks will be executed in the following order:\n{self.get_hooks_info()}")
        self.dump_config()

    # --- opening a run

    def _open_environment(self, env_cfg: Any, experiment_name: str | None, default_scope: str) -> None:
        self.setup_env(env_cfg)
        self.set_randomness(**self._randomness_cfg)
        self._experiment_name = environment.experiment_name_for(
            experiment_name, getattr(self.cfg, "filename", None), self._timestamp
        )
        self._log_dir = str(Path(self._work_dir) / self._timestamp)
        Path(self._log_dir).mkdir(parents=True, exist_ok=True)
        DefaultScope.get_instance(self._experiment_name, scope_name=default_scope)
        self.default_scope = default_scope

    def _open_logs(self, log_level: str, log_processor: Any, visualizer: Any) -> None:
        self.log_processor = self.build_log_processor(log_processor or {})
        self.logger = self.build_logger(log_level=log_level)
        facts = {"Seed": self._seed, "Launcher": self._launcher, **environment.distributed_facts()}
        self.logger.info(environment.environment_report({**self._randomness_cfg, **facts}))
        if getattr(self.cfg, "pretty_text", ""):
            self.logger.info(f"Config:\n{self.cfg.pretty_text}")
        self.message_hub = self.build_message_hub()
        self.visualizer = self.build_visualizer(visualizer)
        if self.cfg:
            self.visualizer.add_config(self.cfg)

    def _open_model(self, setting: Any, data_preprocessor: Any, strategy: Any, checkpointed: Any) -> None:
        self.strategy = strategies.build_strategy(strategy, self._work_dir)
        self._data_preprocessor = data_preprocessor
        built = self.build_model(setting)
        self._model_name = type(built).__name__
        if checkpointed:
            from .activation_checkpointing import turn_on_activation_checkpointing

            turn_on_activation_checkpointing(built, checkpointed)
        self.model = self.wrap_model(self.cfg.get("model_wrapper_cfg"), built)
        wanted = [mode for mode in ("train", "val", "test") if self._settings[f"{mode}_cfg"] is not None]
        model.check_steps(self.model, wanted)

    @classmethod
    def from_cfg(cls, cfg: Any, *, check: bool = True) -> Runner:
        """A runner with all settings from a config.

        Args:
            cfg: a :class:`eng.config.Config` or a mapping.
            check: whether to look for unknown types and keys first, before anything is built. True by default.

        Raises:
            SettingsError: something is missing or wrong; all clear mistakes are named at once.
        """
        if check:
            check_config(cfg)
        return cls(**arguments_from_cfg(cfg))

    # --- the three things a run can do

    def train(self) -> nn.Module:
        """Trains and gives the model.

        Raises:
            MissingPartError: there is no dataloader, loop config or optimizer to train with.
            RunInterrupted: a signal or the time budget ended the run, whose state is saved.
        """
        self._need("train()", "train_dataloader", "train_cfg", "optim_wrapper")
        self._has_begun_training = True
        with self._running():
            for step in TRAIN_ORDER:
                getattr(self, f"_{step}")()
        return self.model

    def val(self) -> dict[str, float]:
        """Validates and gives the metrics.

        Raises:
            MissingPartError: there is no dataloader, loop config or evaluator to validate with.
        """
        return self._evaluate("val", self._val)

    def test(self) -> dict[str, float]:
        """Tests and gives the metrics.

        Raises:
            MissingPartError: there is no dataloader, loop config or evaluator to test with.
        """
        return self._evaluate("test", self._test)

    def _evaluate(self, mode: str, slot: Slot) -> dict[str, float]:
        self._need(f"{mode}()", f"{mode}_dataloader", f"{mode}_cfg")
        with self._running():
            loop = slot.get()
            self.call_hook("before_run")
            self.load_or_resume()
            metrics: dict[str, float] = loop.run()
        return metrics

    def _need(self, action: str, *names: str) -> None:
        missing = [name for name in names if self._settings[name] is None]
        if missing:
            raise MissingPartError(action, missing)

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Signals are noted, a failure keeps the run's state, and ``after_run`` hooks run in any case."""
        with self.preemption:
            try:
                yield
            except BaseException:
                self._close_quietly()
                raise
            self.call_hook("after_run")

    def _close_quietly(self) -> None:
        """Runs what stands at ``after_run``, each whatever the others do; the run's own failure stays the news."""
        for listener in self._dispatch["after_run"]:
            try:
                listener(self)
            except Exception:
                self.logger.exception(f"{owner_name(listener)} failed at after_run")

    # --- the steps of TRAIN_ORDER

    def _build_train_loop(self) -> None:
        self._train.get()

    def _build_optim_wrapper(self) -> None:
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)

    def _scale_learning_rates(self) -> None:
        self.scale_lr(self.optim_wrapper, self._settings["auto_scale_lr"])

    def _build_param_schedulers(self) -> None:
        if self.param_schedulers is not None:
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)

    def _build_val_loop(self) -> None:
        self._val.get()

    def _before_run(self) -> None:
        self.call_hook("before_run")

    def _init_weights(self) -> None:
        self.strategy.init_weights(self.model)

    def _load_or_resume(self) -> None:
        self.load_or_resume()

    def _start_counting(self) -> None:
        count = getattr(self.optim_wrapper, "initialize_count_status", None)
        if count is not None:
            count(self.model, self.iter, self.max_iters)
        restore.restore_accumulation(self.optim_wrapper, self._saved_accumulation)

    def _guard_steps(self) -> None:
        log_interval = next((h.interval for h in self._hooks if type(h).__name__ == "LoggerHook"), 50)
        policy, interval = policy_and_interval(self._settings["nan_policy"], log_interval)
        self._watch = FiniteWatch(policy, interval)
        self._dispatch.call_last("after_train_iter", self._watch.observe)
        if policy == "skip":
            for optimizer in optim.optimizers_of(self.optim_wrapper):
                StepGuard(self.model, optimizer)

    def _compile_model(self) -> None:
        options = self._settings["compile"] or self.cfg.get("compile", False)
        if options:
            model.compile_model(self.model, options)

    def _run_train_loop(self) -> None:
        while True:
            try:
                self._train.value.run()
                return
            except NonFiniteLossError as error:
                if not self._go_back_from(error):
                    raise

    def _go_back_from(self, error: NonFiniteLossError) -> bool:
        """Returns to the newest checkpoint and leaves the iteration out that broke, where ``nan_policy`` says so."""
        loop = self._train.value
        beginning = choose_beginning(True, None, self._work_dir)
        if self._watch.policy != "rollback" or beginning is None or error.iteration in loop.left_out:
            return False
        self.logger.warning(f"{error}; going back to {beginning.path} and leaving that iteration out")
        loop.left_out.add(error.iteration)
        loop.forget_pass()
        self._watch.forget()
        self.resume(beginning.path)
        self._start_counting()
        return True

    # --- hooks

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Calls every hook that acts at the point ``fn_name``, in the order of their priorities.

        If one raises, those behind it are called all the same, so that a checkpoint that is due is written; then the
        exception goes on, with the name of the hook.
        """
        outer, self._point = self._point, fn_name
        listeners = self._dispatch[fn_name]
        try:
            for listener in listeners:
                listener(self, **kwargs)
            if self._afterwards and outer is None:
                self._finish_point()
        except Exception as error:
            self._call_the_rest(listeners[listeners.index(listener) + 1 :], kwargs)
            if hasattr(error, "add_note"):
                error.add_note(f"raised by {owner_name(listener)} at {fn_name}")
            raise
        finally:
            self._point = outer

    call_hooks = call_hook  # the name in the manual

    def _call_the_rest(self, listeners: tuple[Callable[..., None], ...], kwargs: dict[str, Any]) -> None:
        for listener in listeners:
            try:
                listener(self, **kwargs)
            except Exception:
                self.logger.exception(f"{owner_name(listener)} failed at {self._point} too")

    def after_this_point(self, action: Callable[[], None]) -> None:
        """Runs ``action`` when all hooks of the current point have run."""
        self._afterwards.append(action)

    def _finish_point(self) -> None:
        if self._point == "after_val_epoch":
            self._point = "end_of_validation"
        actions, self._afterwards = self._afterwards, []
        for action in actions:
            action()

    def _safe_point(self, _: Any, batch_idx: int, **__: Any) -> None:
        """Ends the run here when it was asked to end."""
        reason = self.preemption.poll(batch_idx, self.world_size)
        if reason is None:
            return
        saver: Any = observers.first_of_kind(self._hooks, "CheckpointHook")
        training = self._train.value is not None and self._has_begun_training
        path = saver.save_now(self, f"interrupted_iter_{self.iter + 1}.pth") if training and saver else None
        place = f"epoch {self.epoch + 1}, iteration {self.iter + 1}"
        stop = RunInterrupted(reason, self.preemption.exit_code, path, place)
        self.logger.warning(str(stop))
        raise stop

    def register_hook(self, hook: Any, priority: str | int | Priority | None = None) -> None:
        """Adds a hook behind those that have the same or a higher priority.

        Args:
            hook: a hook or a config of one, which may name its ``priority``.
            priority: the hook's priority; None (default) takes the config's or the class's.

        Raises:
            TypeError: ``hook`` is neither.
        """
        built, named = observers.build_hook(hook)
        chosen = priority if priority is not None else named
        if chosen is not None:
            built.priority = chosen
        place = get_priority(built.priority)
        index = next((i for i, other in enumerate(self._hooks) if get_priority(other.priority) > place), len(self._hooks))
        self._hooks.insert(index, built)
        self._dispatch.forget()

    def register_default_hooks(self, hooks: dict[str, Any] | None = None) -> None:
        """Adds the default hooks, with ``hooks`` in the place of those of the same name."""
        for hook in observers.with_default_hooks(hooks).values():
            self.register_hook(hook)

    def register_custom_hooks(self, hooks: list[Any]) -> None:
        """Adds further hooks."""
        for hook in hooks:
            self.register_hook(hook)

    def register_hooks(self, default_hooks: dict[str, Any] | None = None, custom_hooks: list[Any] | None = None) -> None:
        """Adds the default hooks and further ones."""
        self.register_default_hooks(default_hooks)
        self.register_custom_hooks(custom_hooks or [])

    def get_hooks_info(self) -> str:
        """A table of the hooks at each point."""
        return observers.hooks_table(self._hooks)

    # --- what subclasses may build in another way

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

    def build_model(self, model_setting: nn.Module | dict[str, Any]) -> nn.Module:
        """The model."""
        return model.build_model(model_setting, self._data_preprocessor)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """The model on its device, wrapped where the strategy or ``model_wrapper_cfg`` says so."""
        return strategies.place_model(self.strategy, model, model_wrapper_cfg)

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """The optimizer with what surrounds it."""
        return optim.build_optim_wrapper(optim_wrapper, self.model)

    def build_param_scheduler(self, scheduler: Any) -> Any:
        """The parameter schedulers."""
        epoch_length = data.length_of(self.train_dataloader)
        ends = {"max_epochs": self.max_epochs, "max_iters": self.max_iters}
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

    def _evaluator_of(self, mode: str) -> Any:
        """The evaluator of a mode, from its loop once that is built."""
        loop = (self._val if mode == "val" else self._test).value
        return loop.evaluator if loop is not None else self._settings[f"{mode}_evaluator"]

    # --- checkpoints

    def load_or_resume(self) -> None:
        """Goes on from a checkpoint, or takes its weights, once; does nothing where none is asked for or found."""
        if self._has_loaded:
            return
        beginning = choose_beginning(self._resume, self._load_from, self._work_dir)
        self._has_loaded = True
        if beginning is None:
            if self._resume:
                self.logger.info(f"There is no checkpoint in {self._work_dir} to go on from: the run starts anew")
            self._resume = False
        elif beginning.resume:
            self.resume(beginning.path)
        else:
            self.load_checkpoint(beginning.path)

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = [(r"^module.", "")],  # noqa: B006  - read only, and the reference's
    ) -> dict[str, Any]:
        """Takes the weights of a checkpoint.

        Args:
            filename: path, or address on any storage.
            map_location: device of the tensors that are read.
            strict: whether names must match exactly.
            revise_keys: regular expressions in names, and what replaces them.

        Returns:
            The checkpoint.
        """
        checkpoint = persistence.read(filename, map_location)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        self.strategy.load_model_state(self.model, checkpoint, strict=strict, revise_keys=revise_keys)
        self.logger.info(f"Load checkpoint from {filename}")
        return checkpoint

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: Any = "default",
    ) -> None:
        """Goes on where the run that wrote a checkpoint was.

        Args:
            filename: path, or address on any storage.
            resume_optimizer: take the optimizer's state too.
            resume_param_scheduler: take the schedulers' state too.
            map_location: device of the tensors that are read; ``"default"`` is the CPU, from which each part takes
                what it needs.

        Raises:
            ResumeError: its parts do not fit this run's.
        """
        self._resume = self._resume or True
        checkpoint = self.load_checkpoint(filename, "cpu" if map_location == "default" else map_location)
        if self._train.setting is None:  # a validation or test takes the weights only
            return
        loop = self._train.get()
        meta = checkpoint.get("meta", {})
        dataset_meta = getattr(getattr(loop.dataloader, "dataset", None), "metainfo", None)
        restore.warn_of_differences(meta, seed=self._randomness_cfg.get("seed"), dataset_meta=dataset_meta)
        if "message_hub" in checkpoint:
            self.message_hub.load_state_dict(checkpoint["message_hub"])
        self._restore_optimization(checkpoint, resume_optimizer, resume_param_scheduler)
        saved = checkpoint.get("run_state") or {}
        restore.restore_hooks(self._hooks, saved.get("hooks", {}))
        self._saved_accumulation = saved.get("accumulation") if resume_optimizer else None
        restore.restore_position(loop, checkpoint)
        self.logger.info(f"resumed epoch: {self.epoch}, iter: {self.iter}")

    def _restore_optimization(self, checkpoint: dict[str, Any], optimizer: bool, schedulers: bool) -> None:
        if optimizer and "optimizer" in checkpoint:
            self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
            self.strategy.load_optim_state(self.model, self.optim_wrapper, checkpoint["optimizer"])
        if schedulers and self.param_schedulers is not None:
            if "param_schedulers" not in checkpoint:
                self.logger.warning("The checkpoint holds no parameter schedulers: they start anew")
                return
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
            restore.restore_schedulers(self.param_schedulers, checkpoint["param_schedulers"])

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict[str, Any] | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict[str, Any] | None = None,
        by_epoch: bool = True,
        backend_args: dict[str, Any] | None = None,
        *,
        write: persistence.Write | None = None,
        when_whole: Callable[[], None] | None = None,
    ) -> None:
        """Writes the state of the run, from which `resume` goes on as if it had not stopped. All ranks call it.

        Args:
            out_dir: folder, on any storage.
            filename: name in it.
            file_client_args: the old name of ``backend_args``.
            save_optimizer: with the optimizer's state, which resuming needs.
            save_param_scheduler: with the schedulers' state, which resuming needs.
            meta: further facts for the checkpoint's ``meta``.
            by_epoch: kept for callers of the reference; where the run stands is worked out.
            backend_args: options of the storage.
            write: writes beside training; None writes now.
            when_whole: called on the writing rank when the file is whole.

        Raises:
            TypeError: ``meta`` is no dict.
            CheckpointWriteError: it cannot be written; nothing is left behind.
        """
        if meta is not None and not isinstance(meta, dict):
            raise TypeError(f"meta must be a dict or None, got {type(meta).__name__}")
        loop = self._train.get()
        state = collect.collect_run_state(loop, self.optim_wrapper, self._hooks, self._point, self._seed)
        dataset = getattr(loop.dataloader, "dataset", None)
        facts = persistence.run_meta(state["position"], self.cfg, self._experiment_name, self._seed, dataset)
        checkpoint: dict[str, Any] = {
            "meta": {**facts, **(meta or {})},
            "state_dict": self.strategy.model_state(self.model),
            "message_hub": self.message_hub.state_dict(),
            "run_state": state,
        }
        if save_optimizer:
            checkpoint["optimizer"] = self.strategy.optim_state(self.model, self.optim_wrapper)
        if save_param_scheduler:
            checkpoint["param_schedulers"] = collect.scheduler_states(self.param_schedulers)
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        if self.strategy.writes():
            storage = backend_args if backend_args is not None else file_client_args
            persistence.write_checkpoint(checkpoint, out_dir, filename, storage, write, when_whole)

    def dump_config(self) -> None:
        """Writes the config into ``work_dir``, under the name of its file or of the experiment."""
        if get_rank() == 0 and len(self.cfg):
            name = Path(getattr(self.cfg, "filename", None) or f"{self._timestamp}.py").name
            self.cfg.dump(str(Path(self._work_dir) / name))

    # --- what may be read of a run

    @property
    def experiment_name(self) -> str:
        """Name under which logger, message hub and visualizer are known."""
        return self._experiment_name

    @property
    def model_name(self) -> str:
        """Name of the model's class."""
        return self._model_name

    @property
    def work_dir(self) -> str:
        """Folder of checkpoints and of one folder per start."""
        return self._work_dir

    @property
    def log_dir(self) -> str:
        """Folder of this start's logs: ``work_dir/timestamp``."""
        return self._log_dir

    @property
    def timestamp(self) -> str:
        """When the run started: ``YYYYmmdd_HHMMSS``, the same on all ranks."""
        return self._timestamp

    @property
    def epoch(self) -> int:
        """Epochs that are over."""
        return self._train.value.epoch if self._train.value is not None else 0

    @property
    def iter(self) -> int:
        """Iterations that are over."""
        return self._train.value.iter if self._train.value is not None else 0

    @property
    def max_epochs(self) -> int:
        """Epochs of the whole run."""
        return self._train.value.max_epochs if self._train.value is not None else 0

    @property
    def max_iters(self) -> int:
        """Iterations of the whole run."""
        return self._train.value.max_iters if self._train.value is not None else 0

    @property
    def launcher(self) -> str:
        """How the processes were started."""
        return self._launcher

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

    @property
    def deterministic(self) -> bool:
        """Whether only deterministic algorithms run."""
        return self._deterministic

    @property
    def seed(self) -> int | None:
        """Seed of the run."""
        return self._seed

    @property
    def hooks(self) -> list[Hook]:
        """The hooks, in their order."""
        return self._hooks

    @property
    def train_loop(self) -> Any:
        """The training loop, or its config before it is built."""
        return self._train.value if self._train.value is not None else self._train.setting

    @property
    def val_loop(self) -> Any:
        """The validation loop, or its config before it is built."""
        return self._val.value if self._val.value is not None else self._val.setting

    @property
    def test_loop(self) -> Any:
        """The test loop, or its config before it is built."""
        return self._test.value if self._test.value is not None else self._test.setting

    @property
    def train_dataloader(self) -> Any:
        """Batches to train on, or their config before the loop is built."""
        return self._train.value.dataloader if self._train.value is not None else self._settings["train_dataloader"]

    @property
    def val_dataloader(self) -> Any:
        """Batches to validate on, or their config before the loop is built."""
        return self._val.value.dataloader if self._val.value is not None else self._settings["val_dataloader"]

    @property
    def test_dataloader(self) -> Any:
        """Batches to test on, or their config before the loop is built."""
        return self._test.value.dataloader if self._test.value is not None else self._settings["test_dataloader"]

    @property
    def val_evaluator(self) -> Any:
        """The metrics of the validation."""
        return self._evaluator_of("val")

    @property
    def test_evaluator(self) -> Any:
        """The metrics of the test."""
        return self._evaluator_of("test")

    @property
    def val_interval(self) -> int:
        """Epochs or iterations between two validations."""
        return int(self._train.value.val_interval) if self._train.value is not None else 1

    @property
    def val_begin(self) -> int:
        """First epoch or iteration after which to validate."""
        return int(self._train.value.val_begin) if self._train.value is not None else 1
