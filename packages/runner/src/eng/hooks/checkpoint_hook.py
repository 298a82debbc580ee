"""CheckpointHook: saves the run at intervals, the best of it, and what is published of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eng.logging.metric_values import MetricReader
from eng.registry import HOOKS

from ._checkpoint_files import remove_checkpoints
from ._rules import check_rule, infer_rule, is_better
from .hook import DataBatch, Hook
from .runtime_info_hook import is_scalar

if TYPE_CHECKING:
    from eng.runner.view import RunnerView

logger = logging.getLogger(__name__)


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Saves checkpoints, from which ``resume=True`` goes on as if the run had not stopped.

    Args:
        interval: epochs or iterations between two checkpoints; -1 saves none but the last and the best. 1 by default.
        by_epoch: whether ``interval`` counts epochs (default) or iterations.
        save_optimizer: whether the optimizer's state is saved, which resuming needs. True by default.
        save_param_scheduler: the same for parameter schedulers.
        out_dir: folder, of any storage that :mod:`eng.fileio` reaches, in which a folder named like ``work_dir``
            takes the checkpoints. None (default) is ``work_dir`` itself.
        max_keep_ckpts: how many of the latest to keep; -1 (default) keeps all.
        save_last: whether to save at the end whatever ``interval`` says. True by default.
        save_best: metrics whose best value is saved as ``best_<metric>_<epoch or iter>.pth``; ``"auto"`` takes the
            first metric that a validation gives. None by default.
        rule: ``"greater"`` or ``"less"`` for each of ``save_best``; None (default) infers it from the names.
        greater_keys: names of metrics of which more is better; None takes the usual ones.
        less_keys: names of metrics of which less is better; None takes the usual ones.
        file_client_args: the old name of ``backend_args``.
        filename_tmpl: names of checkpoints, such as the default ``"epoch_{}.pth"`` and ``"iter_{}.pth"``.
        backend_args: options of the storage behind ``out_dir``.
        published_keys: keys that stay in a small copy for others, made at the end of the last and the best
            checkpoints, whose name ends with a part of its SHA-256. None (default) makes none.
        save_begin: epochs or iterations before the first checkpoint. 0 by default.
        async_save: whether files are written beside training. False by default.
        **kwargs: further options of :func:`eng.checkpoint.save_checkpoint`.

    Raises:
        ValueError: options that exclude each other, or a rule that is unknown or cannot be inferred.
        TypeError: ``save_best`` is neither a name, a list of names nor None.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        interval: int = 1,
        by_epoch: bool = True,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        out_dir: str | Path | None = None,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        save_best: str | list[str] | None = None,
        rule: str | list[str] | None = None,
        greater_keys: Sequence[str] | None = None,
        less_keys: Sequence[str] | None = None,
        file_client_args: dict[str, Any] | None = None,
        filename_tmpl: str | None = None,
        backend_args: dict[str, Any] | None = None,
        published_keys: str | list[str] | None = None,
        save_begin: int = 0,
        async_save: bool = False,
        **kwargs: Any,
    ) -> None:
        if file_client_args is not None and backend_args is not None:
            raise ValueError("give backend_args only; file_client_args is its old name")
        if save_begin < 0:
            raise ValueError(f"save_begin must not be negative, got {save_begin}")
        self.interval, self.by_epoch, self.save_begin = interval, by_epoch, save_begin
        self.save_optimizer, self.save_param_scheduler = save_optimizer, save_param_scheduler
        self.out_dir = out_dir
        self.max_keep_ckpts, self.save_last = max_keep_ckpts, save_last
        self.backend_args = backend_args if backend_args is not None else file_client_args
        self.filename_tmpl = filename_tmpl or ("epoch_{}.pth" if by_epoch else "iter_{}.pth")
        self.published_keys = [published_keys] if isinstance(published_keys, str) else published_keys
        self.async_save = async_save
        self.args = kwargs
        self.greater_keys, self.less_keys = greater_keys, less_keys
        self.save_best = _as_list(save_best)
        self.rules = self._init_rules(rule)
        self.last_ckpt: str | None = None
        self.newest_whole: str | None = None
        self.best_ckpts: dict[str, str] = {}
        self._best_scores: dict[str, float] = {}
        self._kept: list[int] = []
        self._training = False
        self._reader = MetricReader(f"{type(self).__name__} (save_best)")
        self._writer: Any = None

    def before_train(self, runner: RunnerView) -> None:
        """Finds the folder, and what a resumed run has kept so far."""
        self._training = True
        self._folder = self._choose_folder(runner)
        runner.logger.info("Checkpoints will be saved to %s.", self._folder)
        info = runner.message_hub.runtime_info
        self._kept = list(info.get("keep_ckpt_ids", [])) if runner.is_resuming else []
        self._best_scores, self.best_ckpts = {}, {}
        if runner.is_resuming:
            for key in self.save_best or ():
                self._recall_best(key, info)
            for key, score in dict(info.get("best_to_save", {})).items():  # stopped between two of them
                self._best_scores[key] = score
                self._save_best(runner, key)

    def is_idle(self, point: str) -> bool:
        """Whether iterations do not matter, as they do not where it saves by epochs."""
        own = type(self).after_train_iter is CheckpointHook.after_train_iter
        return point == "after_train_iter" and own and self.by_epoch and not self.async_save

    def after_train_epoch(self, runner: RunnerView) -> None:
        """Saves where an interval of epochs ends."""
        if not self.by_epoch:
            return
        last = self.save_last and self.is_last_train_epoch(runner)
        if self.every_n_epochs(runner, self.interval, self.save_begin) or last:
            runner.logger.info("Saving checkpoint at %s epochs", runner.epoch + 1)
            self._save(runner, runner.epoch + 1)

    def after_train_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Saves where an interval of iterations ends."""
        # A strategy that writes shards copies and writes them itself.
        if self.async_save and self._writer is None and not _writes_shards(runner):
            self._prepare_writer(runner)
        if self.by_epoch:
            return
        last = self.save_last and self.is_last_train_iter(runner)
        if self.every_n_train_iters(runner, self.interval, self.save_begin) or last:
            runner.logger.info("Saving checkpoint at %s iterations", runner.iter + 1)
            self._save(runner, runner.iter + 1)

    def after_val_epoch(self, runner: RunnerView, metrics: dict[str, float] | None = None) -> None:
        """Saves the best so far, when every hook has seen the metrics."""
        if not self.save_best or not self._training:
            return
        if not metrics:
            logger.warning("The validation gave no metrics, so that there is no best checkpoint to save")
            return
        if self.save_best == ["auto"]:
            self._follow_first(_first_number(metrics), runner)
        scores = {key: self._reader.read(metrics, key) for key in self.rules}
        found = {key: float(score) for key, score in scores.items() if score is not None and self._is_best(key, score)}
        self._best_scores.update(found)
        runner.message_hub.update_info("best_to_save", found)
        for key in found:
            runner.after_this_point(lambda key=key: self._save_best(runner, key))

    def after_train(self, runner: RunnerView) -> None:
        """Publishes the last and the best checkpoints."""
        self._training = False
        self._finish_writing()
        if self.published_keys is None or runner.rank != 0:
            return
        paths = [self.last_ckpt] if self.save_last and self.last_ckpt else []
        for path in [*paths, *self.best_ckpts.values()]:
            self._publish(runner, path, self.published_keys)

    def after_run(self, runner: RunnerView) -> None:
        """Waits for a checkpoint that is still being written."""
        self._training = False
        self._finish_writing()

    def save_now(self, runner: RunnerView, name: str) -> str:
        """Saves the run as it stands under ``name`` and gives the path; the next regular checkpoint replaces it.

        It is whole, whatever regular checkpoints leave out, and is written at once: a write before it that failed is
        logged and must not cost this one too.
        """
        if not hasattr(self, "_folder"):
            self._folder = self._choose_folder(runner)
        path = _join(self._folder, name, self.backend_args)
        previous = runner.message_hub.runtime_info.get("interrupted_ckpt")
        stale = [previous] if previous and previous != path else []
        runner.message_hub.update_info("interrupted_ckpt", path)
        try:
            self._finish_writing()
        except Exception:
            runner.logger.exception("The checkpoint before %s was not written", name)
        self._write(runner, name, lambda: self._settle(runner, path, stale), in_full=True)
        return path

    def _save(self, runner: RunnerView, number: int) -> None:
        name = self.filename_tmpl.format(number)
        path = self.last_ckpt = _join(self._folder, name, self.backend_args)
        hub = runner.message_hub
        hub.update_info("last_ckpt", path)
        expired = self._expired_with(number)
        hub.update_info("keep_ckpt_ids", list(self._kept))
        stale = [_join(self._folder, self.filename_tmpl.format(old), self.backend_args) for old in expired]
        interrupted = hub.runtime_info.get("interrupted_ckpt")
        if interrupted:
            hub.pop_info("interrupted_ckpt")
            stale.append(interrupted)
        self._write(runner, name, lambda: self._settle(runner, path, stale))

    def _expired_with(self, number: int) -> list[int]:
        """Takes in a new checkpoint and gives those that it pushes out."""
        if self.max_keep_ckpts <= 0:
            return []
        self._kept = [*(old for old in self._kept if old != number), number]
        expired = self._kept[: -self.max_keep_ckpts]
        self._kept = self._kept[-self.max_keep_ckpts :]
        return expired

    def _publish(self, runner: RunnerView, path: str, keys: list[str]) -> None:
        from eng.checkpoint import publish_checkpoint

        try:
            final = publish_checkpoint(path, keys, backend_args=self.backend_args)
        except KeyError as error:  # the training is done and saved: no reason to call it failed
            logger.warning("Nothing is published: %s", error.args[0])
        else:
            runner.logger.info("Published %s as %s with %s", path, final, ", ".join(keys))

    def _settle(self, runner: RunnerView, path: str, stale: list[str]) -> None:
        """What follows when a checkpoint is whole: the pointer moves, and older ones may go."""
        self._point_to(runner, path)
        remove_checkpoints(stale, self.backend_args)

    def _point_to(self, runner: RunnerView, path: str) -> None:
        from eng.checkpoint import write_pointer

        self.newest_whole = path
        write_pointer(runner.work_dir, path)

    def _write(
        self, runner: RunnerView, name: str, when_whole: Callable[[], None] | None = None, in_full: bool = False
    ) -> None:
        runner.save_checkpoint(
            self._folder,
            name,
            save_optimizer=self.save_optimizer or in_full,
            save_param_scheduler=self.save_param_scheduler or in_full,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            write=self._write_beside if self.async_save and not in_full else None,
            when_whole=when_whole,
            **self.args,
        )

    def _prepare_writer(self, runner: RunnerView) -> None:
        """Gets the memory for copies beside training, once the first step has given the optimizer its state."""
        checkpoint = runner.collect_checkpoint(self.save_optimizer, self.save_param_scheduler)
        self._open_writer().prepare(checkpoint)

    def _open_writer(self) -> Any:
        if self._writer is None:
            from eng.checkpoint import AsyncCheckpointWriter

            self._writer = AsyncCheckpointWriter()
        return self._writer

    def _write_beside(self, checkpoint: dict[str, Any], path: str, when_whole: Callable[[], None]) -> None:
        self._open_writer().save(checkpoint, path, backend_args=self.backend_args, on_committed=lambda _: when_whole())

    def _finish_writing(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _is_best(self, key: str, score: float) -> bool:
        if math.isnan(score):
            return False
        best = self._best_scores.get(key)
        return best is None or is_better(score, best, self.rules[key])

    def _save_best(self, runner: RunnerView, key: str) -> None:
        unit, number = ("epoch", runner.epoch) if self.by_epoch else ("iter", runner.iter)
        name = f"best_{key.replace('/', '_')}_{self.filename_tmpl.format(number)}"
        path = _join(self._folder, name, self.backend_args)
        previous = self.best_ckpts.get(key)
        self.best_ckpts[key] = path
        suffix = "" if len(self.rules) == 1 else f"_{key}"
        waiting = runner.message_hub.get_info("best_to_save", {})
        left = {name: score for name, score in waiting.items() if name != key}
        runner.message_hub.update_info("best_to_save", left)
        runner.message_hub.update_info(f"best_score{suffix}", self._best_scores[key])
        runner.message_hub.update_info(f"best_ckpt{suffix}", path)
        stale = [previous] if previous and previous != path else []
        self._write(runner, name, lambda: remove_checkpoints(stale, self.backend_args))
        runner.logger.info(
            "The best checkpoint with %0.4f %s at %s %s is saved to %s.",
            self._best_scores[key],
            key,
            number,
            unit,
            name,
        )

    def _recall_best(self, key: str, info: dict[str, Any]) -> None:
        suffix = "" if len(self.save_best or ()) == 1 else f"_{key}"
        if f"best_ckpt{suffix}" not in info:
            return
        followed = info.get("best_metric", key) if key == "auto" else key
        if key == "auto" and followed != "auto":
            self.rules = {followed: self._rule_for(followed, self._given_rule)}
        self._best_scores[followed] = info[f"best_score{suffix}"]
        self.best_ckpts[followed] = info[f"best_ckpt{suffix}"]

    def _follow_first(self, key: str, runner: RunnerView) -> None:
        if not self.rules:
            self.rules = {key: self._rule_for(key, self._given_rule)}
        runner.message_hub.update_info("best_metric", next(iter(self.rules)))

    def _init_rules(self, rule: str | list[str] | None) -> dict[str, str]:
        if self.save_best is None:
            return {}
        if len(set(self.save_best)) != len(self.save_best):
            raise ValueError(f"save_best names a metric twice: {self.save_best}")
        if "auto" in self.save_best:
            if len(self.save_best) > 1:
                raise ValueError(f"save_best='auto' stands alone, got {self.save_best}")
            self._given_rule = rule if isinstance(rule, str) or rule is None else rule[0]
            return {}
        rules = _as_list(rule) or [None]
        if len(rules) not in (1, len(self.save_best)):
            raise ValueError(
                f"{len(self.save_best)} metrics in save_best and {len(rules)} rules: give one for each or one"
            )
        rules = rules * len(self.save_best) if len(rules) == 1 else rules
        return {key: self._rule_for(key, given) for key, given in zip(self.save_best, rules, strict=True)}

    def _rule_for(self, key: str, given: str | None) -> str:
        return check_rule(given) if given else infer_rule(key, self.greater_keys, self.less_keys)

    def _choose_folder(self, runner: RunnerView) -> str:
        if self.out_dir is None or str(self.out_dir) == runner.work_dir:
            return runner.work_dir
        return _join(str(self.out_dir), Path(runner.work_dir).name, self.backend_args)


def _first_number(metrics: Mapping[str, Any]) -> str:
    """Name of the first metric that is one number; of the first one where none is."""
    return next((name for name, value in metrics.items() if is_scalar(value)), next(iter(metrics)))


def _as_list(value: Any) -> list[Any] | None:
    if value is None or isinstance(value, list):
        return value
    if isinstance(value, (str, tuple)):
        return [value] if isinstance(value, str) else list(value)
    raise TypeError(f"expected a name, a list of names or None, got {type(value).__name__}")


def _join(folder: str, name: str, backend_args: dict[str, Any] | None) -> str:
    from eng.fileio import join_path

    return str(join_path(folder, name, backend_args=backend_args))


def _writes_shards(runner: Any) -> bool:
    return bool(getattr(getattr(runner, "strategy", None), "sharded", False))
