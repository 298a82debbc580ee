"""A run and its checkpoints: where it begins, and what it writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eng.fileio import join_path

from . import persistence
from ._builders import Builders
from ._hook_calls import HookCalls
from .curves import continue_curves
from .state import collect, restore
from .state.policy import choose_beginning
from .state.progress import position_of


class Saving(HookCalls, Builders):
    """A run that goes on from checkpoints and writes them."""

    _load_from: str | None
    _has_loaded: bool
    _saved_accumulation: Any

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
        checkpoint: dict[str, Any] = self.strategy.read(filename, map_location, self.model)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        self.strategy.load_model_state(self.model, checkpoint, strict=strict, revise_keys=revise_keys)
        self.logger.info("Load checkpoint from %s", filename)
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
        place = position_of(loop, None)
        continue_curves(self.visualizer, filename, meta, place, self._work_dir, f"{self._timestamp}.json")
        self.logger.info("resumed epoch: %s, iter: %s", self.epoch, self.iter)

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
        checkpoint = self.collect_checkpoint(save_optimizer, save_param_scheduler, meta)
        self.call_hook("before_save_checkpoint", checkpoint=checkpoint)
        storage = backend_args if backend_args is not None else file_client_args
        path = str(join_path(out_dir, filename, backend_args=storage))
        self.strategy.write(checkpoint, path, storage, write, when_whole or (lambda: None))

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
        return checkpoint
