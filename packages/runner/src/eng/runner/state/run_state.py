"""RunState: chooses the checkpoint with which a run begins, restores it, and collects and saves new checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import nn

from eng.checkpoint import CheckpointWriter, reading
from eng.checkpoint.unwrap import unwrap
from eng.config import Config
from eng.dataset._loader_parts import dataset_of, metainfo_of
from eng.dataset.utils import length_of
from eng.dist import get_rank
from eng.fileio import join_path
from eng.hooks import EMAHook
from eng.hooks.ema_hook import exchange_average
from eng.logging import MessageHub
from eng.logging.parts import SAVING, charged
from eng.optim import OptimWrapper
from eng.runner.persistence import MapLocation

from .. import persistence
from ..curves import continue_curves
from ..errors import ResumeError
from ..hook_list import HookList
from ..launch import after_restart
from ..lazy import Lazy
from ..loops.base import BaseLoop
from ..loops.foreign import as_base_loop
from ..optimizer_modes import evaluating
from ..passport import run_facts
from ..passport.code import CodeVersion, project_folder
from ..settings import Randomness, RunnerSettings
from ..strategy import BaseStrategy
from ..trainable_only import complete, keep_trainable
from . import collect, differences, restore, taking
from .collect import Schedulers
from .policy import check_exists, check_match, choose_beginning
from .taking import resume_and_take

# Removes the prefix that DistributedDataParallel puts before the names of weights.
_WITHOUT_MODULE = [(r"^module.", "")]


class StatefulRun(Protocol):
    """The members of a Runner that RunState uses, including methods that a subclass of Runner may override."""

    settings: RunnerSettings
    model: nn.Module
    strategy: BaseStrategy
    hook_list: HookList
    train_part: Lazy[BaseLoop]
    optim_part: Lazy[OptimWrapper]
    scheduler_part: Lazy[Schedulers]
    message_hub: MessageHub
    visualizer: Any
    logger: logging.Logger
    cfg: Config
    work_dir: str
    log_dir: str
    timestamp: str
    experiment_name: str
    randomness: Randomness
    seed: int
    world_size: int

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Calls all hooks that override the method `fn_name`, such as ``before_train``."""

    def load_checkpoint(self, filename: str) -> dict[str, Any]:
        """Loads the weights of a checkpoint."""

    def resume(self, filename: str) -> None:
        """Resumes the run that wrote a checkpoint."""


class RunState:
    """Collects the state of a run into checkpoints, and restores a run from a checkpoint.

    Args:
        run: the runner, whose settings ``resume`` and ``load_from`` choose the checkpoint from which the run starts.

    Attributes:
        code: git revision and uncommitted changes of the project.
        take: dotted keys of the config whose values a resumed run uses instead of the different values in the
            checkpoint.
        resume_setting: the setting ``resume``; False if a search for a checkpoint to resume from found none.
        load_from: the setting ``load_from``.
        has_loaded: whether :meth:`begin` was called.
        has_taken_weights: whether the model's weights came from a checkpoint.
        has_begun_training: whether ``train()`` was called.
        parent: path, name and iteration of the checkpoint that was resumed; None in a new run.
        restored_hyperparameters: hyperparameters for which the resumed run uses the checkpoint's value instead of the
            config's; maps dotted keys to the used values as text.
        saves: id of the run and number of the checkpoints that the run has saved.
    """

    def __init__(self, run: StatefulRun) -> None:
        self._run = run
        # Before the process group exists, every process counts as rank 0 and starts git.
        folder = None
        if get_rank() == 0:
            folder = project_folder(run.cfg.filename)
        self.code = CodeVersion(folder)
        self.resume_setting, self.take = resume_and_take(run.settings.resume)
        self.load_from = run.settings.load_from
        self.parent: dict[str, Any] | None = None
        self.restored_hyperparameters: dict[str, str] = {}
        self.has_loaded = False
        self.has_taken_weights = False
        self.saves = persistence.SaveCount()
        self.has_begun_training = False
        self._accumulation: object = None
        self._facts: dict[str, Any] | None = None
        self._load_report: object = None
        self._initialised: nn.Module | None = None

    def begin_training(self) -> None:
        """Records that training begins; after a restart by a launcher, chooses the newest checkpoint to resume from.

        All ranks must call this method together.
        """
        self.has_begun_training = True
        if not self.has_loaded:
            run = self._run
            beginning = after_restart(self.resume_setting, self.load_from, run.work_dir, run.log_dir)
            self.resume_setting, self.load_from = beginning

    def begin(self) -> None:
        """Resumes from a checkpoint or loads its weights, as the settings ``resume`` and ``load_from`` say.

        A second call does nothing.
        """
        if self.has_loaded:
            return
        run = self._run
        beginning = choose_beginning(self.resume_setting, self.load_from, run.work_dir)
        self.has_loaded = True
        if beginning is None:
            if self.resume_setting:
                run.logger.info("There is no checkpoint in %s to go on from: the run starts anew", run.work_dir)
            self.resume_setting = False
        elif beginning.resume:
            run.resume(beginning.path)
        else:
            check_exists(beginning.path, "load_from")
            run.load_checkpoint(beginning.path)
            if not run.cfg.get("allow_partial", False):
                check_match(self._load_report, beginning.path, trains=self.has_begun_training)

    def facts(self) -> dict[str, Any]:
        """Returns config, code, data, world size and versions of the run, to compare the run with another run."""
        if self._facts is None:
            run = self._run
            loop = run.train_part.get()
            loader = None
            if loop is not None:
                loader = as_base_loop(loop).dataloader
            parts = (unwrap(run.model), dataset_of(loader))
            self._facts = run_facts(run.cfg, run.settings.as_arguments(), parts, loader, self.code, run.world_size)
        return self._facts

    def origin(self) -> str | None:
        """Returns the path of the checkpoint that the run resumes from; None for a new run."""
        if not self.resume_setting:
            return None
        beginning = choose_beginning(self.resume_setting, self.load_from, self._run.work_dir)
        if beginning is None:
            return None
        return beginning.path

    def moment(self) -> dict[str, Any]:
        """Returns the training position that is stored with a scalar written now; empty before training.

        A resumed run copies the scalars of earlier launches up to the resumed position, see
        :func:`eng.runner.curves.continue_curves`.
        """
        loop = self._run.train_part.value
        if not self.has_begun_training or loop is None:
            return {}
        return as_base_loop(loop).moment(self._run.hook_list.point)

    def init_weights(self) -> None:
        """Initialises the model's weights once; does nothing if an earlier ``val()`` or ``test()`` loaded weights."""
        run = self._run
        if self._initialised is not run.model:
            self._initialised = run.model
            run.strategy.model_is_given |= self.has_taken_weights
            run.strategy.init_weights(run.model)

    def start_counting(self, iterations: int, max_iters: int) -> None:
        """Sets the optimizer wrapper's iteration counters, and restores gradients of an unfinished accumulation.

        Args:
            iterations: number of completed iterations.
            max_iters: iteration at which training ends.
        """
        wrapper = self._run.optim_part.need()
        if isinstance(wrapper, restore.CountsIterations):
            wrapper.initialize_count_status(self._run.model, iterations, max_iters)
        restore.restore_accumulation(wrapper, self._accumulation, self._run.strategy)

    def load_weights(
        self,
        filename: str,
        map_location: MapLocation = "cpu",
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = _WITHOUT_MODULE,
        verify: bool = True,
    ) -> dict[str, Any]:
        """Loads the weights of a checkpoint.

        Args:
            filename: path, or address on any storage.
            map_location: device for the tensors of the checkpoint.
            strict: whether missing and unexpected names are an error.
            revise_keys: pairs of a regular expression and the text that replaces its matches in names of weights.
            verify: whether the checksums in the file are verified.

        Returns:
            The checkpoint.
        """
        run = self._run
        with reading(verify=verify):
            checkpoint: dict[str, Any] = run.strategy.read(filename, map_location, run.model)
        self._take_weights(checkpoint, filename, strict, revise_keys)
        return checkpoint

    def resume(self, filename: str, optimizer: bool, param_scheduler: bool, map_location: MapLocation) -> None:
        """Restores the run that wrote a checkpoint.

        Args:
            filename: path, or address on any storage.
            optimizer: whether to restore the optimizer's state.
            param_scheduler: whether to restore the parameter schedulers' states.
            map_location: device for the tensors of the checkpoint; ``"default"`` is the CPU, from which each part
                copies its tensors to its own device.

        Raises:
            ResumeError: the checkpoint holds only weights, or its optimizer or schedulers do not fit this run's.
        """
        run = self._run
        self.resume_setting = self.resume_setting or True
        if map_location == "default":
            map_location = "cpu"
        checkpoint = run.strategy.read(filename, map_location, run.model)
        if run.train_part.setting is None:  # Without train_cfg, val() and test() need only the weights.
            self._take_weights(checkpoint, filename)
            return
        meta = restore.meta_of(checkpoint, filename)
        restore.refuse_failed(meta, filename)
        lines = self._take_trained_weights(checkpoint)
        self._take_weights(checkpoint, filename)
        loop = as_base_loop(run.train_part.need())
        self.facts()  # Cached here: the fingerprint of a stateful dataset changes when its position is restored.
        self.saves.go_on_from(meta)
        metainfo = metainfo_of(loop.dataloader)
        lines += restore.run_differences(meta, seed=run.randomness.seed, dataset_meta=metainfo, take=self.take)
        if "message_hub" in checkpoint:
            run.message_hub.load_state_dict(checkpoint["message_hub"])
        length = loop.max_iters
        restore.restore_position(loop, checkpoint, takes_seed=taking.covers(self.take, "randomness.seed"))
        if loop.max_iters != length:
            self._plan_for_new_length()
        lines += self._restore_optimization(checkpoint, optimizer, param_scheduler)
        saved = checkpoint.get("run_state") or {}
        lines += self._differences_from(saved.get("facts") or {}, lines)
        self.parent = {"checkpoint": filename, **{key: meta.get(key) for key in ("experiment_name", "run_id", "iter")}}
        lines += self._restore_rest(loop, saved, optimizer)
        position = loop.position(None)
        continue_curves(run.visualizer, filename, meta, position, run.work_dir, f"{run.timestamp}.json")
        if lines:
            run.logger.warning("Resuming from %s:\n%s", filename, "\n".join(f"  - {line}" for line in lines))
        run.logger.info("resumed epoch: %s, iter: %s", loop.epoch, loop.iter)

    def save(
        self,
        path_parts: tuple[str, str],
        storage: Mapping[str, Any] | None,
        contents: Callable[[], dict[str, Any]],
        trainable_only: bool,
        writer: CheckpointWriter | None,
        on_intact: Callable[[], None],
    ) -> None:
        """Saves a checkpoint. All ranks must call this method.

        Args:
            path_parts: folder and file name of the checkpoint.
            storage: options of the storage backend.
            contents: function that returns the checkpoint; hooks then add their entries.
            trainable_only: whether to leave out frozen weights; a run can resume from such a file only if its model
                starts with the same frozen weights.
            writer: object that writes the file, possibly in the background; None writes the file before this method
                returns.
            on_intact: function that the writing rank calls when the complete file is written.
        """
        run = self._run
        self.saves.number += 1
        with charged(run.hook_list.part_clock, SAVING), evaluating(run.optim_part.peek()):
            checkpoint = contents()
            run.call_hook("before_save_checkpoint", checkpoint=checkpoint)
            if trainable_only:
                keep_trainable(unwrap(run.model), checkpoint)
            path = str(join_path(*path_parts, backend_args=storage))
            chosen = writer or run.strategy.checkpoint_writer(storage, beside=False)
            chosen.save(run.strategy.portable(checkpoint), path, on_intact)

    def collect(self, optimizer: bool, param_scheduler: bool, meta: Mapping[str, Any] | None) -> dict[str, Any]:
        """Returns the current state of the run, without the entries that hooks add. All ranks must call this method.

        Args:
            optimizer: whether to include the optimizer's state.
            param_scheduler: whether to include the parameter schedulers' states.
            meta: further entries for ``meta``.

        Returns:
            A dict with ``meta``, ``state_dict``, ``message_hub``, ``run_state`` and, if included, ``optimizer`` and
            ``param_schedulers``. Its tensors are not copies: the next training step changes them.

        Raises:
            TypeError: ``meta`` is no dict.
        """
        if meta is not None and not isinstance(meta, dict):
            raise TypeError(f"meta must be a dict or None, got {type(meta).__name__}")
        run = self._run
        loop, wrapper = as_base_loop(run.train_part.need()), run.optim_part.peek()
        window = collect.accumulation_state(wrapper, run.strategy)
        state = collect.collect_run_state(loop, window, run.hook_list.hooks, run.hook_list.point, run.seed)
        state["optimizers"] = collect.optimizer_classes(wrapper)
        state["facts"] = self.facts()
        metainfo = metainfo_of(loop.dataloader)
        facts = persistence.run_meta(state["position"], run.cfg, run.experiment_name, run.seed, metainfo, self.saves)
        checkpoint: dict[str, Any] = {
            "meta": {**facts, **(meta or {})},
            "state_dict": run.strategy.model_state(run.model),
            "message_hub": run.message_hub.state_dict(),
            "run_state": state,
        }
        if optimizer:
            checkpoint["optimizer"] = run.strategy.optim_state(run.model, wrapper)
        if param_scheduler:
            checkpoint["param_schedulers"] = collect.scheduler_states(run.scheduler_part.peek())
        return checkpoint

    def _take_weights(
        self,
        checkpoint: dict[str, Any],
        filename: str,
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = _WITHOUT_MODULE,
    ) -> None:
        """Loads weights into the model from a checkpoint that has already been read from its file.

        Before, the model's frozen weights are added to a checkpoint that leaves them out, and ``after_load_checkpoint``
        of the hooks is called. The arguments are those of :meth:`load_weights`.
        """
        run = self._run
        self.has_taken_weights = True
        if "trainable_only" in (checkpoint.get("meta") or {}):
            complete(checkpoint, run.strategy.model_state(run.model), filename)
        run.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        self._load_report = run.strategy.load_model_state(run.model, checkpoint, strict=strict, revise_keys=revise_keys)
        run.logger.info("Load checkpoint from %s", filename)

    def _take_trained_weights(self, checkpoint: dict[str, Any]) -> list[str]:
        """Puts the trained weights into a checkpoint's ``state_dict``, if only the saved run had an EMAHook.

        EMAHook saves the averaged weights in ``state_dict``. Returns a line of text about the exchange, in a list; the
        list is empty if nothing was exchanged.
        """
        if "ema_state_dict" not in checkpoint or self._run.hook_list.first(EMAHook) is not None:
            return []
        exchange_average(checkpoint)
        return [
            "EMAHook: the saved run averaged its weights and this one does not; it goes on with the trained weights"
        ]

    def _differences_from(self, saved: Mapping[str, Any], lines: list[str]) -> list[str]:
        """Returns a line of text for each difference from the saved run, with the value that the resumed run uses.

        Args:
            saved: facts of the saved run in its checkpoint; empty if the checkpoint has none.
            lines: lines about other differences, which are not repeated.
        """
        if not saved:
            return []
        facts = self.facts()
        taking.check_take(self.take, saved, facts)
        return taking.difference_lines(saved, facts, self.take, lines)

    def _plan_for_new_length(self) -> None:
        """Builds the parameter schedulers again after the checkpoint has changed ``max_iters`` of the loop."""
        part = self._run.scheduler_part
        if part.value is not None and restore.are_configs(part.setting):
            restore.undo_schedules(part.value)
            part.replace(part.setting)
            part.get()

    def _restore_optimization(self, checkpoint: dict[str, Any], optimizer: bool, schedulers: bool) -> list[str]:
        """Restores optimizer and schedulers; returns lines of text about differences and missing parts."""
        run, part = self._run, self._run.scheduler_part
        wanted = {"optimizer": optimizer, "param_schedulers": schedulers and part.setting is not None}
        lines = differences.missing_parts(checkpoint, wanted)
        wrapper = run.optim_part.need()
        takes_optimizer = optimizer and "optimizer" in checkpoint
        plans_again = False
        if takes_optimizer:
            state, classes = checkpoint["optimizer"], (checkpoint.get("run_state") or {}).get("optimizers")
            differences.check_optimizers(wrapper, state, classes)
            differences.check_shapes(unwrap(run.model), checkpoint["state_dict"])
            taken_values = taking.TakenValues(wrapper, self.take)
            lines += differences.optimizer_differences(wrapper, state, self.take)
            self.restored_hyperparameters = differences.kept_values(wrapper, state, self.take)
            self._load_optimizer(wrapper, state)
            plans_again = taken_values.put_back()
        if schedulers and part.setting is None and checkpoint.get("param_schedulers"):
            lines.append("param_scheduler: the checkpoint has schedules and this run has none; theirs are not used")
        if wanted["param_schedulers"] and "param_schedulers" in checkpoint:
            lines += self._restore_schedulers(checkpoint["param_schedulers"], takes_optimizer, plans_again)
        return lines

    def _load_optimizer(self, wrapper: OptimWrapper, state: dict[str, Any]) -> None:
        """Loads the optimizer state of a checkpoint into the optimizer wrapper.

        Raises:
            ResumeError: the state does not fit the optimizer.
        """
        try:
            self._run.strategy.load_optim_state(self._run.model, wrapper, state)
        except (KeyError, ValueError, RuntimeError) as error:
            raise ResumeError(
                f"the checkpoint's optimizer state does not fit this run's optimizer: {error}. Resume with the "
                "optimizer and the model of the saved run, or begin a new run with load_from and resume=False"
            ) from error

    def _restore_schedulers(self, saved: object, has_optimizer_state: bool, plans_again: bool) -> list[str]:
        """Restores the schedulers' progress, or advances new schedulers to the position of the run.

        Returns lines of text about differences between the saved schedulers and those of this run.
        """
        schedulers, loop = self._run.scheduler_part.need(), as_base_loop(self._run.train_part.need())
        if "param_scheduler" in self.take:
            restore.count_steps(schedulers, loop.iter, _epoch_length(loop))
            lines = ["param_scheduler: the new schedules are taken, as if they had counted from the beginning"]
        else:
            lines = restore.restore_schedulers(schedulers, saved)
        if not has_optimizer_state:
            restore.write_schedules(schedulers)
        if lines or plans_again:
            restore.plan_again(schedulers, loop.iter, _epoch_length(loop))
        return lines

    def _restore_rest(self, loop: BaseLoop, saved: Mapping[str, Any], optimizer: bool) -> list[str]:
        """Restores hooks, and keeps accumulated gradients for :meth:`start_counting`.

        Returns lines of text about differences between the saved run and this run.
        """
        hooks = self._run.hook_list.hooks
        lines = differences.hook_differences(hooks, saved.get("hooks", {}))
        restore.restore_hooks(hooks, saved.get("hooks", {}))
        lines += differences.stop_differences(loop, hooks)
        self._accumulation = None
        if optimizer:
            window, inexact = restore.window_with_ranks(saved.get("accumulation"), saved.get("world_size", 1))
            self._accumulation = window
            lines += inexact
        return lines


def _epoch_length(loop: BaseLoop) -> float:
    """Returns the mean number of iterations in a completed epoch; during the first epoch, the dataloader's length."""
    position = loop.position(None)
    if position["pass"]:
        return float((position["iter"] - position["batch"]) / position["pass"])
    return length_of(loop.dataloader) or 1
