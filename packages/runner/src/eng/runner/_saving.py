"""A run and its checkpoints: where it begins, and what it writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eng.checkpoint import CheckpointWriter, reading
from eng.checkpoint.unwrap import unwrap
from eng.dataset.utils import length_of
from eng.fileio import join_path
from eng.hooks.ema_hook import exchange_average
from eng.logging.parts import SAVING, charged

from . import persistence
from ._builders import Builders
from ._hook_calls import HookCalls
from .assemble import observers
from .curves import continue_curves
from .errors import ResumeError
from .optimizer_modes import evaluating
from .passport import run_facts
from .passport.code import CodeVersion
from .state import collect, differences, restore, taking
from .state.policy import check_exists, check_match, choose_beginning
from .state.progress import position_of
from .trainable_only import complete, keep_trainable


class Saving(HookCalls, Builders):
    """A run that goes on from checkpoints and writes them."""

    _load_from: str | None
    _has_loaded: bool
    _has_taken_weights: bool
    _has_begun_training: bool
    _load_report: object = None
    _saved_accumulation: Any
    _save_count: persistence.SaveCount
    _take: tuple[str, ...]
    _code: CodeVersion
    _known_facts: dict[str, Any] | None
    _parent: dict[str, Any] | None

    def run_facts(self) -> dict[str, Any]:
        """Config, code, data, world size and versions of this run, to compare it with another one."""
        if self._known_facts is None:
            loader = getattr(self._train.get(), "dataloader", None)
            parts = (unwrap(self.model), getattr(loader, "dataset", None))
            self._known_facts = run_facts(self.cfg, self._settings, parts, loader, self._code, self.world_size)
        return self._known_facts

    def load_or_resume(self) -> None:
        """Goes on from a checkpoint, or takes its weights, once; does nothing where none is asked for or found."""
        if self._has_loaded:
            return
        beginning = choose_beginning(self._resume, self._load_from, self._work_dir)
        self._has_loaded = True
        if beginning is None:
            if self._resume:
                self.logger.info("There is no checkpoint in %s to go on from: the run starts anew", self._work_dir)
            self._resume = False
        elif beginning.resume:
            self.resume(beginning.path)
        else:
            check_exists(beginning.path, "load_from")
            self.load_checkpoint(beginning.path)
            if not self.cfg.get("allow_partial", False):
                check_match(self._load_report, beginning.path, trains=self._has_begun_training)

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = [(r"^module.", "")],  # noqa: B006  - read only, and the reference's
        *,
        verify: bool = True,
    ) -> dict[str, Any]:
        """Takes the weights of a checkpoint.

        Args:
            filename: path, or address on any storage.
            map_location: device of the tensors that are read.
            strict: whether names must match exactly.
            revise_keys: regular expressions in names, and what replaces them.
            verify: whether the file is held against the checksums in it.

        Returns:
            The checkpoint.
        """
        with reading(verify=verify):
            checkpoint: dict[str, Any] = self.strategy.read(filename, map_location, self.model)
        self._take_weights(checkpoint, filename, strict, revise_keys)
        return checkpoint

    def _take_weights(
        self,
        checkpoint: dict[str, Any],
        filename: str,
        strict: bool = False,
        revise_keys: list[tuple[str, str]] = [(r"^module.", "")],  # noqa: B006  - read only
    ) -> None:
        self._has_taken_weights = True
        if "trainable_only" in (checkpoint.get("meta") or {}):
            complete(checkpoint, self.strategy.model_state(self.model), filename)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        self._load_report = self.strategy.load_model_state(
            self.model, checkpoint, strict=strict, revise_keys=revise_keys
        )
        self.logger.info("Load checkpoint from %s", filename)

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
            ResumeError: it holds weights alone, or its parts do not fit this run's.
        """
        self._resume = self._resume or True
        checkpoint = self.strategy.read(filename, "cpu" if map_location == "default" else map_location, self.model)
        if self._train.setting is None:  # a validation or test takes the weights only
            self._take_weights(checkpoint, filename)
            return
        meta = restore.meta_of(checkpoint, filename)
        if meta.get("failed"):
            raise ResumeError(
                f"{filename} holds the weights before an iteration that failed ({meta['failed']}), without the state to go on "
                "exactly; resume from a regular checkpoint (resume=True), or begin a new run with load_from and resume=False"
            )
        lines = self._take_trained_weights(checkpoint)
        self._take_weights(checkpoint, filename)
        loop = self._train.get()
        self._save_count.go_on_from(meta)
        dataset_meta = getattr(getattr(loop.dataloader, "dataset", None), "metainfo", None)
        lines += restore.run_differences(meta, seed=self._randomness_cfg.get("seed"), dataset_meta=dataset_meta)
        if "message_hub" in checkpoint:
            self.message_hub.load_state_dict(checkpoint["message_hub"])
        length = getattr(loop, "max_iters", None)
        restore.restore_position(loop, checkpoint, takes_seed=taking.covers(self._take, "randomness.seed"))
        if getattr(loop, "max_iters", None) != length:
            self._rebuild_schedulers()
        lines += self._restore_optimization(checkpoint, resume_optimizer, resume_param_scheduler)
        saved = checkpoint.get("run_state") or {}
        lines += self._differences_from(saved.get("facts") or {}, lines)
        self._parent = {"checkpoint": filename, **{key: meta.get(key) for key in ("experiment_name", "run_id", "iter")}}
        lines += differences.hook_differences(self._hooks, saved.get("hooks", {}))
        restore.restore_hooks(self._hooks, saved.get("hooks", {}))
        lines += self._look_at_stop(loop)
        self._saved_accumulation = saved.get("accumulation") if resume_optimizer else None
        place = position_of(loop, None)
        continue_curves(self.visualizer, filename, meta, place, self._work_dir, f"{self._timestamp}.json")
        if lines:
            self.logger.warning("Resuming from %s:\n%s", filename, "\n".join(f"  - {line}" for line in lines))
        self.logger.info("resumed epoch: %s, iter: %s", self.epoch, self.iter)

    def _take_trained_weights(self, checkpoint: dict[str, Any]) -> list[str]:
        """Puts the trained weights under ``state_dict``, where an average stands that no hook of this run follows."""
        if "ema_state_dict" not in checkpoint or observers.first_of_kind(self._hooks, "EMAHook") is not None:
            return []
        exchange_average(checkpoint)
        return [
            "EMAHook: the saved run averaged its weights and this one does not; it goes on with the trained weights"
        ]

    def _differences_from(self, saved: dict[str, Any], lines: list[str]) -> list[str]:
        """What else differs from the saved run, and which value wins."""
        if not saved:
            return []
        facts = self.run_facts()
        taking.check_take(self._take, saved, facts)
        return taking.difference_lines(saved, facts, self._take, lines)

    def _look_at_stop(self, loop: Any) -> list[str]:
        """What to say of a run that a hook had stopped; it stays stopped unless that hook's settings changed."""
        if not getattr(loop, "stop_training", False):
            return []
        changed = [hook for hook in self._hooks if getattr(hook, "settings_changed", False)]
        stops = [hook for hook in self._hooks if hasattr(hook, "settings_changed")]
        if stops and not changed:
            line = "a hook had stopped the saved run, so nothing is left to train; change that hook's settings to go on"
            return [f"stop_training: {line}"]
        loop.stop_training = False
        why = "its settings have changed" if changed else "this run has no such hook"
        return [f"stop_training: a hook had stopped the saved run; {why}, so training goes on"]

    def _rebuild_schedulers(self) -> None:
        """Builds the schedules again for a run whose length turned out to be another than its epochs suggested."""
        setting = self._settings["param_scheduler"]
        if self.param_schedulers is None or not restore.are_configs(setting):
            return
        restore.undo_schedules(self.param_schedulers)
        self.param_schedulers = self.build_param_scheduler(setting)

    def _restore_optimization(self, checkpoint: dict[str, Any], optimizer: bool, schedulers: bool) -> list[str]:
        """Gives the optimizer and the schedules their states, and tells what differs or is missing."""
        wanted = {"optimizer": optimizer, "param_schedulers": schedulers and self.param_schedulers is not None}
        lines = differences.missing_parts(checkpoint, wanted)
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        takes_optimizer = optimizer and "optimizer" in checkpoint
        plans_again = False
        if takes_optimizer:
            state, classes = checkpoint["optimizer"], (checkpoint.get("run_state") or {}).get("optimizers")
            differences.check_optimizers(self.optim_wrapper, state, classes)
            differences.check_shapes(unwrap(self.model), checkpoint["state_dict"])
            taken = taking.TakenValues(self.optim_wrapper, self._take)
            lines += differences.optimizer_differences(self.optim_wrapper, state, self._take)
            self._load_optimizer(state)
            plans_again = taken.put_back()
        if schedulers and self.param_schedulers is None and checkpoint.get("param_schedulers"):
            lines.append("param_scheduler: the checkpoint has schedules and this run has none; theirs are not used")
        if wanted["param_schedulers"] and "param_schedulers" in checkpoint:
            lines += self._restore_schedulers(checkpoint["param_schedulers"], takes_optimizer, plans_again)
        return lines

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        try:
            self.strategy.load_optim_state(self.model, self.optim_wrapper, state)
        except (KeyError, ValueError, RuntimeError) as error:
            raise ResumeError(
                f"the checkpoint's optimizer state does not fit this run's optimizer: {error}. Resume with the "
                "optimizer and the model of the saved run, or begin a new run with load_from and resume=False"
            ) from error

    def _restore_schedulers(self, saved: Any, has_optimizer_state: bool, plans_again: bool) -> list[str]:
        self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
        if "param_scheduler" in self._take:
            restore.count_steps(self.param_schedulers, self.iter, self._epoch_length())
            lines = ["param_scheduler: the new schedules are taken, as if they had counted from the beginning"]
        else:
            lines = restore.restore_schedulers(self.param_schedulers, saved)
        if not has_optimizer_state:
            restore.write_schedules(self.param_schedulers)
        if lines or plans_again:
            restore.plan_again(self.param_schedulers, self.iter, self._epoch_length())
        return lines

    def _epoch_length(self) -> float:
        """Iterations of an epoch so far."""
        loop = self._train.get()
        position = position_of(loop, None)
        passes, batch = position["pass"], position["batch"]
        length = length_of(loop.dataloader) or 1
        return (position["iter"] - batch) / passes if passes else length

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
        save_trainable_only: bool = False,
        writer: CheckpointWriter | None = None,
        on_intact: Callable[[], None] = lambda: None,
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
            save_trainable_only: leave out weights that are not trained; a run resumes from it with the same base. False by
                default.
            writer: writes it; None writes now, as the strategy does.
            on_intact: called on the writing rank when the file is intact.

        Raises:
            TypeError: ``meta`` is no dict.
            CheckpointWriteError: it cannot be written; nothing is left behind.
        """
        if meta is not None and not isinstance(meta, dict):
            raise TypeError(f"meta must be a dict or None, got {type(meta).__name__}")
        self._save_count.number += 1
        with charged(self.part_clock, SAVING), evaluating(self.optim_wrapper):
            checkpoint = self.collect_checkpoint(save_optimizer, save_param_scheduler, meta)
            self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
            if save_trainable_only:
                keep_trainable(unwrap(self.model), checkpoint)
            storage = backend_args if backend_args is not None else file_client_args
            path = str(join_path(out_dir, filename, backend_args=storage))
            chosen = writer or self.strategy.checkpoint_writer(storage, beside=False)
            chosen.save(self.strategy.portable(checkpoint), path, on_intact)

    def collect_checkpoint(
        self, save_optimizer: bool = True, save_param_scheduler: bool = True, meta: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The state of the run as it stands, before hooks add theirs. All ranks call it.

        Args:
            save_optimizer: with the optimizer's state.
            save_param_scheduler: with the schedulers' state.
            meta: further facts for ``meta``.

        Returns:
            ``meta``, ``state_dict``, ``message_hub``, ``run_state``, and ``optimizer`` and ``param_schedulers`` where
            they are asked for; tensors are those of the run itself where they lie on the CPU.
        """
        loop = self._train.get()
        window = collect.accumulation_state(self.optim_wrapper, self.strategy)
        state = collect.collect_run_state(loop, window, self._hooks, self._point, self._seed)
        state["optimizers"] = collect.optimizer_classes(self.optim_wrapper)
        state["facts"] = self.run_facts()
        dataset = getattr(loop.dataloader, "dataset", None)
        facts = persistence.run_meta(
            state["position"], self.cfg, self._experiment_name, self._seed, dataset, self._save_count
        )
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
        return checkpoint
