"""Runner: the parts of a run and the order in which they meet."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from eng.dataset.utils import length_of
from eng.dist import all_gather_object, get_rank
from eng.hooks import Hook
from eng.logging._details import DETAIL
from eng.registry import RUNNERS, DefaultScope

from . import environment, optimizer_modes
from ._saving import Saving
from ._slot import Slot
from .assemble import model as models
from .assemble import observers
from .assemble import strategy as strategies
from .call import is_eng, resume_hint
from .closing import closing_lines
from .dispatch import Dispatcher, owner_name
from .errors import MissingPartError, NonFiniteLossError, RunInterrupted
from .failure import report_failure, sample_numbers, samples_text
from .finite import FiniteWatch, StepGuard, policy_and_interval, probable_causes
from .launch import after_restart
from .oom import SplitStep
from .passport.code import CodeVersion, project_folder
from .passport.ending import ending
from .passport.record import Passport
from .persistence import SaveCount
from .preemption import Preemption
from .settings import RunnerSettings
from .spec import arguments_from_cfg, arguments_taken_by, as_config, check_config, tells_near_names
from .spike import LossSpike, SpikeDetector
from .state import collect, restore
from .state.policy import choose_beginning
from .state.taking import resume_and_take
from .work_dir import claim_shared_start, occupied

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
    "split_on_oom",
    "guard_steps",
    "compile_model",
    "write_passport",
    "run_train_loop",
)


@RUNNERS.register_module()
class Runner(Saving):
    """Trains, validates and tests a model.

    Every part may be an object or a config; a part that is a config is built when it is first needed.

    Args:
        model: any module: one with ``train_step``, ``val_step`` and ``test_step`` (see :class:`eng.model.BaseModel`), one
            that returns its loss, or one for which ``loss`` is given.
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
            ``dict(checkpoint=None, take=["optim_wrapper.optimizer.lr", ...])`` takes the new values of the keys in ``take``
            where the checkpoint's would win.
        launcher: ``"none"``, ``"pytorch"``, ``"slurm"`` or ``"mpi"``.
        env_cfg: see :func:`eng.runner.environment.setup_environment`.
        log_processor: how logs are put into lines.
        log_level: level of the run's logger.
        visualizer: where scalars and images go; ``dict(type="Visualizer", vis_backends=[...])``.
        default_scope: scope of the registries in which names are looked up first; None or an empty text is eng's own.
        randomness: ``dict(seed=None, diff_rank_seed=False, deterministic=False, per_sample=True)``; ``per_sample`` makes
            random numbers in transforms a function of seed, epoch and sample.
        experiment_name: name of the run; None (default) takes the name of the config file.
        cfg: the whole config, for the log and for other parts to read.
        strategy: how the model lives on its devices; None (default) is one device, or DDP in a process group.
        compile: True, or options of ``torch.nn.Module.compile``.
        activation_checkpointing: names of modules that compute their activations again in the backward pass.
        nan_policy: ``"warn"`` (default), ``"stop"``, ``"skip"`` or ``"rollback"``, or
            ``dict(type=..., interval=...)``: what happens when a loss is not finite.
        loss_spike: ``dict(factor=10, window=100, action="warn")``, with action ``"warn"``, ``"stop"`` or ``"rollback"``: what
            happens when a loss is more than ``factor`` times the median of the ``window`` iterations before; None (default)
            does not look.
        on_error: ``"save"`` (default) leaves a checkpoint, where one is possible, when training raises; ``"raise"`` does not.
        preemption: options of :class:`eng.runner.preemption.Preemption`, such as ``dict(time_budget_s=3600)``;
            None (default) ends the run on Ctrl-C (SIGINT), SIGTERM and SIGUSR1.
        init_weights: whether ``init_weights()`` of the model is called, once, at the first train(). A model that is given
            as an object keeps what was loaded into it. True by default.
        loss: loss of a model that computes none itself: a callable ``loss(output, target)``, a registered name or a
            config, such as ``dict(type="CrossEntropyLoss")``; see :class:`eng.model.SupervisedModel`.
        on_oom: ``"split"`` halves the micro-batch where a training step runs out of memory, and repeats the step with the
            update of the complete batch. None (default) ends the run.

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

    @tells_near_names
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
        resume: bool | str | dict[str, Any] = False,
        launcher: str = "none",
        env_cfg: dict[str, Any] = {"dist_cfg": {"backend": "nccl"}},  # noqa: B006  - read only, and the reference's
        log_processor: Any = None,
        log_level: str = "INFO",
        visualizer: Any = None,
        default_scope: str | None = "eng",
        randomness: dict[str, Any] = {"seed": None},  # noqa: B006  - read only, and the reference's
        experiment_name: str | None = None,
        cfg: Any = None,
        strategy: Any = None,
        compile: bool | dict[str, Any] = False,
        activation_checkpointing: list[str] | str | None = None,
        nan_policy: str | dict[str, Any] = "warn",
        loss_spike: dict[str, Any] | None = None,
        on_error: str = "save",
        preemption: dict[str, Any] | None = None,
        init_weights: bool = True,
        loss: Any = None,
        on_oom: str | None = None,
    ) -> None:
        arguments = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        settings = RunnerSettings(**arguments)
        self._work_dir = environment.local_work_dir(work_dir)
        self.cfg = as_config(cfg)
        self._settings = settings.as_arguments()
        self._launcher = launcher
        self._randomness_cfg = dict(randomness)
        self._saved_accumulation: Any = None
        self._save_count = SaveCount()
        self._has_begun_training = False
        wanted, self._take = resume_and_take(resume)
        self._resume, self._load_from = after_restart(wanted, load_from, self._work_dir)
        self._known_facts, self._parent = None, None
        self._code = CodeVersion(project_folder(self.cfg.filename) if get_rank() == 0 else None)
        self._has_loaded = False
        self._has_taken_weights = False
        self._watch: FiniteWatch | None = None
        self._follows_modes = False
        self._initialised_model: nn.Module | None = None
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
        self.preemption = Preemption(**{"on_request": self._stop_at_safe_points, **(preemption or {})})
        self._ranks = self.world_size
        self._stops_at_safe_points = False
        if self.preemption.comes_unannounced:
            self._stop_at_safe_points()
        self.register_hooks(default_hooks, custom_hooks)
        self.logger.info("Hooks, point by point, in the order of their calls:\n%s", self.get_hooks_info(), extra=DETAIL)
        self.dump_config()

    # --- opening a run

    def _open_environment(self, env_cfg: Any, experiment_name: str | None, default_scope: str | None) -> None:
        self.setup_env(env_cfg)
        self.set_randomness(**self._randomness_cfg)
        config_file = getattr(self.cfg, "filename", None)
        name_at = partial(environment.experiment_name_for, experiment_name, config_file)
        self._timestamp = claim_shared_start(
            self._work_dir, self._timestamp, lambda stamp: observers.is_known(name_at(stamp))
        )
        self._experiment_name = name_at(self._timestamp)
        self._log_dir = str(Path(self._work_dir) / self._timestamp)
        self.default_scope = default_scope or "eng"
        self._passport = Passport(self._log_dir, self._code)
        self._scope = DefaultScope.get_instance(self._experiment_name, scope_name=self.default_scope)

    def _open_logs(self, log_level: str, log_processor: Any, visualizer: Any) -> None:
        self.log_processor = self.build_log_processor(log_processor or {})
        self.logger = self.build_logger(log_level=log_level)
        settings = {name: value for name, value in self._randomness_cfg.items() if name != "seed"}
        facts = {"Seed": self._seed, "Launcher": self._launcher, **environment.distributed_facts()}
        self.logger.info(environment.environment_report({**settings, **facts}), extra=DETAIL)
        if getattr(self.cfg, "pretty_text", ""):
            self.logger.info("Config:\n%s", self.cfg.pretty_text, extra=DETAIL)
        self.message_hub = self.build_message_hub()
        self.visualizer = self.build_visualizer(visualizer)
        known_by_name = (self._scope, self.logger, self.message_hub, self.visualizer)
        own = [part for part in known_by_name if part is not visualizer]
        weakref.finalize(self, observers.forget_run, own).atexit = False
        if hasattr(self.visualizer, "follow"):
            self.visualizer.follow(self._moment)
        if self.cfg:
            self.visualizer.add_config(self.cfg)

    def _moment(self) -> dict[str, Any]:
        """Where in training something is written now, for the curves of a run that goes on."""
        moment = getattr(self._train.value, "moment", None)
        return moment(self._point) if moment is not None and self._has_begun_training else {}

    def _open_model(self, setting: Any, data_preprocessor: Any, strategy: Any, checkpointed: Any) -> None:
        self.strategy = strategies.build_strategy(strategy, self._work_dir, self.cfg.get("model_wrapper_cfg"))
        self.strategy.sets_weights = self._settings["init_weights"]
        self.strategy.model_is_given = isinstance(setting, nn.Module)
        built = self.build_model(
            models.with_data_preprocessor(models.with_loss(setting, self._settings["loss"]), data_preprocessor)
        )
        self._model_name = type(built).__name__
        if checkpointed:
            from .activation_checkpointing import turn_on_activation_checkpointing

            turn_on_activation_checkpointing(built, checkpointed)
        self.model = self.wrap_model(self.cfg.get("model_wrapper_cfg"), built)
        wanted = [mode for mode in ("train", "val", "test") if self._settings[f"{mode}_cfg"] is not None]
        models.check_steps(self.model, wanted)

    def dump_config(self) -> None:
        """Writes the config into ``work_dir``, under the name of its file or of the experiment."""
        if get_rank() == 0 and len(self.cfg):
            name = Path(getattr(self.cfg, "filename", None) or f"{self._timestamp}.py").name
            try:
                self.cfg.dump(str(Path(self._work_dir) / name))
            except TypeError as error:
                self.logger.warning("The config is not written to %s: %s", name, error)

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
            check_config(cfg, cls)
        return cls(**arguments_taken_by(cls, arguments_from_cfg(cfg)))

    # --- the three things a run can do

    def train(self) -> nn.Module:
        """Trains and gives the model.

        Raises:
            MissingPartError: there is no dataloader, loop config or optimizer to train with.
            RunInterrupted: a signal or the time budget ended the run, whose state is saved.
        """
        self._need("train()", "train_dataloader", "train_cfg", "optim_wrapper")
        self._has_begun_training = True
        started = time.monotonic()
        with occupied(self._work_dir, self._experiment_name), self._running():
            for step in TRAIN_ORDER:
                getattr(self, f"_{step}")()
        if self.rank == 0:
            self.logger.info(closing_lines(self, time.monotonic() - started))
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
        parts = (self.logger, self.message_hub, self.visualizer)
        with observers.being_current(parts, self.default_scope), self.preemption:
            try:
                yield
            except BaseException as error:
                self._close_quietly()
                self._end_passport(error)
                raise
            self.strategy.close()
            self.call_hook("after_run")
            self._end_passport(None)

    def _end_passport(self, error: BaseException | None) -> None:
        if self.rank == 0 and self._has_begun_training:
            self._passport.end(*ending(self, error))

    def _close_quietly(self) -> None:
        """Runs what stands at ``after_run``, each whatever the others do; the run's own failure stays the news."""
        for listener in self._dispatch["after_run"]:
            try:
                listener(self)
            except Exception:
                self.logger.exception("%s failed at after_run", owner_name(listener))

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
        if self._val.get() is None:
            for name in observers.waiting_for_validation(self._hooks, self.param_schedulers):
                self.logger.warning(
                    "%s acts on metrics of validations, and this run has none: give val_dataloader, val_cfg and "
                    "val_evaluator, or leave it out",
                    name,
                )

    def _before_run(self) -> None:
        self.call_hook("before_run")

    def _init_weights(self) -> None:
        """Initialises the model once; where val() or test() loaded weights before, what they loaded stays."""
        if self._initialised_model is not self.model:
            self._initialised_model = self.model
            self.strategy.model_is_given |= self._has_taken_weights
            self.strategy.init_weights(self.model)

    def _load_or_resume(self) -> None:
        self.load_or_resume()

    def _start_counting(self) -> None:
        count = getattr(self.optim_wrapper, "initialize_count_status", None)
        if count is not None:
            count(self.model, self.iter, self.max_iters)
        restore.restore_accumulation(self.optim_wrapper, self._saved_accumulation, self.strategy)
        if not self._follows_modes:
            self._follows_modes = True
            optimizer_modes.follow(self._dispatch, self.optim_wrapper)

    def _split_on_oom(self) -> None:
        if self._settings["on_oom"] is not None:
            self._train.value.split_step = SplitStep(self.model, self.optim_wrapper)

    def _guard_steps(self) -> None:
        if self._watch is not None:  # a second train()
            return
        log_interval = getattr(observers.first_of_kind(self._hooks, "LoggerHook"), "interval", 50)
        policy, interval = policy_and_interval(self._settings["nan_policy"], log_interval)
        spike = LossSpike.of(self._settings["loss_spike"])
        self._watch = FiniteWatch(policy, interval, SpikeDetector(spike) if spike is not None else None)
        self._dispatch.call_first("after_train_iter", self._watch.observe)
        self._dispatch.call_first("before_save_checkpoint", self._watch.look)
        self._dispatch.call_first("after_train", self._watch.look)
        if policy == "skip":
            for wrapper in collect.wrappers_by_name(self.optim_wrapper).values():
                step_guard = StepGuard(self.model, wrapper.optimizer)
                if hasattr(wrapper, "count_skips_of"):
                    wrapper.count_skips_of(step_guard.guard)
        saver: Any = observers.first_of_kind(self._hooks, "CheckpointHook")
        goes_back = policy == "rollback" or (spike is not None and spike.action == "rollback")
        if goes_back and saver is not None and not self.is_resuming:
            saver.save_now(self, f"rollback_iter_{self.iter}.pth")

    def _compile_model(self) -> None:
        options = self._settings["compile"] or self.cfg.get("compile", False)
        if options:
            models.compile_model(self.model, options)

    def _write_passport(self, action: str = "train") -> None:
        """Writes down what this start is; rank 0 alone."""
        if self.rank == 0 and action == "train":
            facts = self.run_facts()
            self._passport.write(action, facts, self.cfg, {**self._randomness_cfg, "seed": self._seed}, self._parent)

    def _run_train_loop(self) -> None:
        self._say_if_nothing_is_left()
        while True:
            try:
                self._train.value.run()
                return
            except Exception as error:
                if isinstance(error, NonFiniteLossError) and self._go_back_from(error):
                    continue
                saver = observers.first_of_kind(self._hooks, "CheckpointHook")
                report_failure(self, saver, error, saves=self._settings["on_error"] == "save")
                raise

    def _say_if_nothing_is_left(self) -> None:
        loop = self._train.value
        done, last = (self.epoch, self.max_epochs) if self.max_epochs > 1 else (self.iter, self.max_iters)
        if self.iter and (done >= last or getattr(loop, "stop_training", False)):
            why = "a hook stopped it" if done < last else f"epoch {self.epoch}, iteration {self.iter} is its end"
            self.logger.warning("Nothing is left to train: %s; for more, raise max_epochs or max_iters and resume", why)

    def _go_back_from(self, error: NonFiniteLossError) -> bool:
        """Returns to the newest checkpoint and leaves the iteration out that broke, where ``nan_policy`` says so."""
        loop, watch = self._train.value, self._watch
        if watch is None or not watch.goes_back_from(error) or not hasattr(loop, "left_out"):
            return False
        culprits = probable_causes(error.iteration, loop.left_out)
        path = self._newest_checkpoint()
        if path is None or not culprits:
            return False
        numbers = sorted(number + 1 for number in culprits)
        samples = samples_text(sample_numbers(loop, error.iteration))
        self.logger.warning("%s%s; going back to %s and leaving %s out", error, samples, path, numbers)
        loop.left_out |= culprits
        loop.forget_pass()
        watch.forget()
        self.resume(path)
        self._start_counting()
        return True

    def _newest_checkpoint(self) -> str | None:
        """The newest whole checkpoint of this run: one that it wrote, or the one that it went on from."""
        saver: Any = observers.first_of_kind(self._hooks, "CheckpointHook")
        written: list[str | None] = all_gather_object(getattr(saver, "newest_whole", None))
        if written[0] is not None:  # rank 0 writes
            return written[0]
        beginning = choose_beginning(self._resume, self._load_from, self._work_dir) if self.is_resuming else None
        return beginning.path if beginning is not None else None

    def _stop_at_safe_points(self) -> None:
        """Asks from now on, after each iteration, whether the run should end; one that nobody ends pays nothing."""
        if not self._stops_at_safe_points:
            self._stops_at_safe_points = True
            for point in ("after_train_iter", "after_val_iter", "after_test_iter"):
                self._dispatch.call_last(point, self._safe_point)

    def _safe_point(self, _: Any, batch_idx: int, **__: Any) -> None:
        """Ends the run here when it was asked to end."""
        if self._ranks > 1 and not self._all_ranks_pass(batch_idx):
            return
        reason = self.preemption.poll(batch_idx, self._ranks)
        if reason is None:
            return
        saver: Any = observers.first_of_kind(self._hooks, "CheckpointHook")
        training = self._train.value is not None and self._has_begun_training
        done = self.iter + (self._point == "after_train_iter")
        path = saver.save_now(self, f"interrupted_iter_{done}.pth") if training and saver else None
        where = " in the validation" if self._point == "after_val_iter" else ""
        stop = RunInterrupted(
            reason, self.preemption.exit_code, path, f"epoch {self.epoch + 1}, iteration {done}{where}"
        )
        hint = f".\n{resume_hint(self._work_dir)}" if path else ""
        self.logger.warning("%s%s", stop, hint, extra=DETAIL if is_eng() else None)  # eng says it at the very end
        raise stop

    def _all_ranks_pass(self, batch_idx: int) -> bool:
        """Whether every rank comes to this safe point: an evaluation may be a batch shorter on some."""
        if self._point == "after_train_iter":
            return True
        loader = self.val_dataloader if self._point == "after_val_iter" else self.test_dataloader
        samples = length_of(getattr(loader, "dataset", None))
        if samples is None:  # a stream may end on any rank
            return False
        return batch_idx < samples // (self._ranks * (getattr(loader, "batch_size", None) or 1))
