"""CheckpointHook: saves the run at intervals, the best of it, and what is published of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eng.logging.errors import UsageError, UsageTypeError
from eng.logging.metric_values import MetricReader
from eng.logging.whole_numbers import whole_number
from eng.registry import HOOKS

from ._checkpoint_files import RunFiles
from ._loops import follow_loop
from ._rules import check_rule, infer_rule, is_better
from ._signatures import check_options
from .hook import DataBatch, Hook
from .runtime_info_hook import is_scalar

if TYPE_CHECKING:
    from eng.checkpoint import CheckpointWriter
    from eng.runner.view import RunnerView

logger = logging.getLogger(__name__)
_TEMPLATES: dict[bool | None, str] = {True: "epoch_{}.pth", False: "iter_{}.pth"}


@HOOKS.register_module()
class CheckpointHook(Hook):
    """Saves checkpoints, from which ``resume=True`` goes on as if the run had not stopped.

    Args:
        interval: epochs or iterations between two checkpoints; -1 saves none but the last and the best. 1 by default.
        by_epoch: whether ``interval`` counts epochs or iterations. None (default) is as the training loop counts.
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
        by_epoch: bool | None = None,
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
            raise UsageError("give backend_args only; file_client_args is its old name")
        if file_client_args is not None:
            logger.warning(
                '"file_client_args" is the old name of "backend_args": give CheckpointHook(backend_args=...)'
            )
        if isinstance(save_begin, int) and save_begin < 0:
            raise UsageError(f"save_begin must not be negative, got {save_begin}")
        self.interval = whole_number("CheckpointHook's interval (-1 saves the last and the best only)", interval, -1)
        self.save_begin = whole_number("CheckpointHook's save_begin", save_begin, 0)
        self.by_epoch = self._given_by_epoch = by_epoch
        self.save_optimizer, self.save_param_scheduler = save_optimizer, save_param_scheduler
        self.out_dir = self._given_out_dir = out_dir
        self.max_keep_ckpts = whole_number("CheckpointHook's max_keep_ckpts (-1 keeps all)", max_keep_ckpts, -1)
        self.save_last = save_last
        self._file_client_args = file_client_args
        self.backend_args = backend_args if backend_args is not None else file_client_args
        self.filename_tmpl = self._given_tmpl = filename_tmpl or _TEMPLATES.get(by_epoch)
        self.published_keys = [published_keys] if isinstance(published_keys, str) else published_keys
        self.async_save = async_save
        self.args = kwargs
        self.greater_keys, self.less_keys = greater_keys, less_keys
        self.save_best = _as_list(save_best)
        self.needs_validation = bool(self.save_best)
        self._rules = self._init_rules(rule)
        self.last_ckpt: str | None = None
        self.newest_whole: str | None = None
        self.best_ckpts: dict[str, str] = {}
        self._best_scores: dict[str, float] = {}
        self._kept: list[int] = []
        self._stale: list[str] = []
        self._last_number: int | None = None
        self._training = False
        self._reader = MetricReader(f"{type(self).__name__} (save_best)")
        self._writer: CheckpointWriter | None = None

    def before_train(self, runner: RunnerView) -> None:
        """Finds the folder, and what a resumed run has kept so far."""
        self._training = True
        check_options(self, self.args, runner.save_checkpoint)
        self._open_folder(runner)
        runner.logger.info("Checkpoints will be saved to %s.", self._files.folder)
        info = runner.message_hub.runtime_info if runner.is_resuming else {}
        self._kept = [number for number in _as_items(info.get("keep_ckpt_ids")) if type(number) is int]
        names = map(self._files.name_of, _as_items(info.get("stale_ckpts")))
        self._stale = [name for name in names if name is not None]
        self._best_scores, self.best_ckpts = {}, {}
        self._last_number = self._recall_last(runner, info)
        for key in (self.save_best or ()) if info else ():
            self._recall_best(runner, key, info)
        waiting = info.get("best_to_save", {})
        for key, score in dict(waiting).items() if isinstance(waiting, Mapping) else ():  # stopped between two of them
            if key in self._rules and isinstance(score, int | float):
                self._best_scores[key] = float(score)
                self._save_best(runner, key)
        if waiting:
            self._save_again(runner)

    @property
    def key_indicators(self) -> list[str]:
        """Metrics whose best checkpoint is kept; the first of a validation's in place of ``"auto"``."""
        return list(self._rules or self.save_best or ())

    @property
    def rules(self) -> list[str]:
        """``"greater"`` or ``"less"`` for each of ``key_indicators``."""
        return list(self._rules.values())

    @property
    def best_ckpt_path(self) -> str | None:
        """The best checkpoint by the only metric, or by the first of several."""
        return next(iter(self.best_ckpts.values()), None)

    @property
    def best_ckpt_path_dict(self) -> dict[str, str]:
        """The best checkpoints by metric."""
        return dict(self.best_ckpts)

    @property
    def file_backend(self) -> Any:
        """The storage backend of the checkpoints."""
        from eng.fileio import get_file_backend

        return get_file_backend(str(self.out_dir or "."), backend_args=self.backend_args)

    @property
    def file_client(self) -> Any:
        """The same storage as a client of the old interface."""
        from eng.fileio import FileClient

        return FileClient.infer_client(self.backend_args, str(self.out_dir or "."))

    def is_idle(self, point: str) -> bool:
        """Whether iterations do not matter, as they do not where it saves by epochs."""
        own = type(self).after_train_iter is CheckpointHook.after_train_iter
        return point == "after_train_iter" and own and bool(self.by_epoch) and not self.async_save

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
        if self.async_save and self._writer is None:
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
        scores = {key: self._reader.read(metrics, key) for key in self._rules}
        found = {key: float(score) for key, score in scores.items() if score is not None and self._is_best(key, score)}
        self._best_scores.update(found)
        runner.message_hub.update_info("best_to_save", found)
        for key in found:
            runner.after_this_point(lambda key=key: self._save_best(runner, key))
        if found:
            runner.after_this_point(lambda: self._save_again(runner))

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
        if not hasattr(self, "_files"):
            self._open_folder(runner)
        path = self._files.path(name)
        previous = self._files.name_of(runner.message_hub.runtime_info.get("interrupted_ckpt"))
        self._expire([previous] if previous else [], keep=name)
        runner.message_hub.update_info("interrupted_ckpt", name)
        try:
            self._finish_writing()
        except Exception:
            runner.logger.exception("The checkpoint before %s was not written", name)
        self._write(runner, name, self._following(runner, path), in_full=True)
        return path

    def _save(self, runner: RunnerView, number: int) -> None:
        self._last_number = number
        self._save_checkpoint_with_step(runner, number, None)

    def _save_again(self, runner: RunnerView) -> None:
        """Replaces the regular checkpoint of a validation by one that names the best checkpoint of that validation."""
        number = runner.epoch if self.by_epoch else runner.iter
        # A folder of shards is not replaced in one step, so that a kill would cost an intact checkpoint.
        if number == self._last_number and not _writes_shards(runner):
            self._save_checkpoint_with_step(runner, number, None)

    def _save_checkpoint_with_step(self, runner: RunnerView, step: int, meta: dict[str, Any] | None) -> None:
        """Saves the regular checkpoint of an epoch or iteration; libraries call and override it by this name.

        Args:
            runner: the run.
            step: number of the epoch or iteration.
            meta: further facts for the checkpoint's ``meta``.
        """
        name = self._files.regular(step)
        path = self.last_ckpt = self._files.path(name)
        hub = runner.message_hub
        hub.update_info("last_ckpt", path)
        expired = [self._files.regular(old) for old in self._expired_with(step)]
        hub.update_info("keep_ckpt_ids", list(self._kept))
        interrupted = self._files.name_of(hub.runtime_info.get("interrupted_ckpt"))
        if "interrupted_ckpt" in hub.runtime_info:
            hub.pop_info("interrupted_ckpt")
        self._expire([*expired, *([interrupted] if interrupted else [])], keep=name)
        hub.update_info("stale_ckpts", list(self._stale))
        self._write(runner, name, self._following(runner, path), meta=meta)

    def _expire(self, names: Sequence[str], keep: str) -> None:
        """Notes checkpoints that are to be removed once the next one is intact.

        The next one holds this list itself, so that a run which is killed before the removal makes up for it.
        """
        wanted = {keep, *map(self._files.regular, self._kept), *map(self._files.name_of, self.best_ckpts.values())}
        self._stale[:] = [name for name in dict.fromkeys([*self._stale, *names]) if name not in wanted]

    def _following(self, runner: RunnerView, path: str) -> Callable[[], None]:
        """What follows when a checkpoint is intact: the pointer moves, and older ones may go."""
        names = list(self._stale)

        def follow() -> None:
            self._point_to(runner, path)
            self._remove(names)

        return follow

    def _remove(self, names: Sequence[str]) -> None:
        for name in self._files.remove(names):
            if name in self._stale:
                self._stale.remove(name)

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
            final = publish_checkpoint(path, keys, self._files.folder, backend_args=self.backend_args)
        except KeyError as error:  # the training is done and saved: no reason to call it failed
            logger.warning("Nothing is published: %s", error.args[0])
        except FileNotFoundError as error:  # the best of a forked run lies in the folder of its origin
            logger.warning("Nothing is published of %s, which is not there any more: %s", path, error)
        else:
            runner.logger.info("Published %s as %s with %s", path, final, ", ".join(keys))

    def _point_to(self, runner: RunnerView, path: str) -> None:
        from eng.checkpoint import write_pointer

        self.newest_whole = path
        write_pointer(runner.work_dir, path)

    def _write(
        self,
        runner: RunnerView,
        name: str,
        on_intact: Callable[[], None],
        in_full: bool = False,
        meta: dict[str, Any] | None = None,
    ) -> None:
        runner.save_checkpoint(
            self._files.folder,
            name,
            save_optimizer=self.save_optimizer or in_full,
            save_param_scheduler=self.save_param_scheduler or in_full,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            writer=self._writer_beside(runner) if self.async_save and not in_full else None,
            on_intact=on_intact,
            **self.args,
        )

    def _prepare_writer(self, runner: RunnerView) -> None:
        """Gets the memory for copies beside training, once the first step has given the optimizer its state."""
        writer = self._writer_beside(runner)
        if not _writes_shards(runner):  # torch copies shards itself
            writer.prepare(runner.collect_checkpoint(self.save_optimizer, self.save_param_scheduler))

    def _writer_beside(self, runner: RunnerView) -> CheckpointWriter:
        if self._writer is None:
            self._writer = runner.strategy.checkpoint_writer(self.backend_args, beside=True)
        return self._writer

    def _finish_writing(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _is_best(self, key: str, score: float) -> bool:
        if math.isnan(score):
            return False
        best = self._best_scores.get(key)
        return best is None or is_better(score, best, self._rules[key])

    def _save_best(self, runner: RunnerView, key: str) -> None:
        unit, number = ("epoch", runner.epoch) if self.by_epoch else ("iter", runner.iter)
        name = self._files.best(key, number)
        path = self._files.path(name)
        previous = self._files.name_of(self.best_ckpts.get(key))
        self.best_ckpts[key] = path
        suffix = "" if len(self._rules) == 1 else f"_{key}"
        waiting = runner.message_hub.get_info("best_to_save", {})
        left = {name: score for name, score in waiting.items() if name != key}
        runner.message_hub.update_info("best_to_save", left)
        runner.message_hub.update_info(f"best_score{suffix}", self._best_scores[key])
        runner.message_hub.update_info(f"best_ckpt{suffix}", path)
        self._expire([previous] if previous else [], keep=name)
        runner.message_hub.update_info("stale_ckpts", list(self._stale))
        stale = list(self._stale)
        self._write(runner, name, lambda: self._remove(stale))
        runner.logger.info(
            "The best checkpoint with %0.4f %s at %s %s is saved to %s.",
            self._best_scores[key],
            key,
            number,
            unit,
            name,
        )

    def _recall_last(self, runner: RunnerView, info: Mapping[str, Any]) -> int | None:
        """Number of the regular checkpoint that a run goes on from, as a validation behind it may be still to come."""
        number = runner.epoch if self.by_epoch else runner.iter
        return number if self._files.name_of(info.get("last_ckpt")) == self._files.regular(number) else None

    def _recall_best(self, runner: RunnerView, key: str, info: Mapping[str, Any]) -> None:
        suffix = "" if len(self.save_best or ()) == 1 else f"_{key}"
        path, score = self._files.located(info.get(f"best_ckpt{suffix}")), info.get(f"best_score{suffix}")
        if path is None or not isinstance(score, int | float):
            return
        followed = info.get("best_metric", key) if key == "auto" else key
        if key == "auto" and followed != "auto":
            self._rules = {followed: self._rule_for(followed, self._given_rule)}
        self._best_scores[followed] = float(score)
        self.best_ckpts[followed] = path
        runner.message_hub.update_info(f"best_ckpt{suffix}", path)

    def _follow_first(self, key: str, runner: RunnerView) -> None:
        if not self._rules:
            self._rules = {key: self._rule_for(key, self._given_rule)}
        runner.message_hub.update_info("best_metric", next(iter(self._rules)))

    def _init_rules(self, rule: str | list[str] | None) -> dict[str, str]:
        if self.save_best is None:
            return {}
        if len(set(self.save_best)) != len(self.save_best):
            raise UsageError(f"save_best names a metric twice: {self.save_best}")
        if "auto" in self.save_best:
            if len(self.save_best) > 1:
                raise UsageError(f"save_best='auto' stands alone, got {self.save_best}")
            self._given_rule = rule if isinstance(rule, str) or rule is None else rule[0]
            return {}
        rules = _as_list(rule) or [None]
        if len(rules) not in (1, len(self.save_best)):
            raise UsageError(
                f"{len(self.save_best)} metrics in save_best and {len(rules)} rules: give one for each or one"
            )
        rules = rules * len(self.save_best) if len(rules) == 1 else rules
        return {key: self._rule_for(key, given) for key, given in zip(self.save_best, rules, strict=True)}

    def _rule_for(self, key: str, given: str | None) -> str:
        return check_rule(given) if given else infer_rule(key, self.greater_keys, self.less_keys)

    def _open_folder(self, runner: RunnerView) -> None:
        self.by_epoch = follow_loop(
            self._given_by_epoch, runner, "CheckpointHook's by_epoch", f"interval={self.interval} may never be over"
        )
        self.filename_tmpl = self._given_tmpl or _TEMPLATES[self.by_epoch]
        self.out_dir = self._choose_folder(runner)
        self._files = RunFiles(self.out_dir, self.filename_tmpl, self.backend_args)

    def _choose_folder(self, runner: RunnerView) -> str:
        given = str(self._given_out_dir or runner.work_dir)
        if given == runner.work_dir:
            return runner.work_dir
        return _join(
            str(Path(given).expanduser()) if given.startswith("~") else given,
            Path(runner.work_dir).name,
            self.backend_args,
        )


def _as_items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _first_number(metrics: Mapping[str, Any]) -> str:
    """Name of the first metric that is one number; of the first one where none is."""
    return next((name for name, value in metrics.items() if is_scalar(value)), next(iter(metrics)))


def _as_list(value: Any) -> list[Any] | None:
    if value is None or isinstance(value, list):
        return value
    if isinstance(value, (str, tuple)):
        return [value] if isinstance(value, str) else list(value)
    raise UsageTypeError(f"expected a name, a list of names or None, got {type(value).__name__}")


def _join(folder: str, name: str, backend_args: dict[str, Any] | None) -> str:
    from eng.fileio import join_path

    return str(join_path(folder, name, backend_args=backend_args))


def _writes_shards(runner: Any) -> bool:
    return bool(getattr(getattr(runner, "strategy", None), "sharded", False))
