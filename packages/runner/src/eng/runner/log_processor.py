"""From what was logged to one line of text and one dict for the trackers."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from eng.device import get_device, peak_memory, reset_peak_memory
from eng.hooks._loops import batches_into_epoch, counts_epochs, current_set, epochs_over, train_loop_of
from eng.hooks.view import RunnerView
from eng.registry import LOG_PROCESSORS

__all__ = ["LogProcessor"]

_LOGGER = logging.getLogger(__name__)
_MODES = ("train", "val", "test")
_TIMES = ("time", "data_time")
_BYTES_PER_MB = 2**20


@LOG_PROCESSORS.register_module()
class LogProcessor:
    """Chooses a statistic for each logged value and formats them.

    Values of training, and times, whose name matches `mean_pattern` are averaged over `window_size` updates; of others the
    last one is shown, such as the loss of a validation.

    Args:
        window_size: updates in a mean.
        by_epoch: whether lines count epochs. None (default) follows the training loop.
        custom_cfg: statistics of your own. Each is a dict with ``data_src`` (the value, without ``train/``),
            ``method_name`` (a statistic of :class:`~eng.logging.HistoryBuffer`), optionally ``log_name`` (under
            which it is shown, in place of the value by default), ``window_size`` (a number, ``"epoch"`` or
            ``"global"``) and further arguments of that statistic.
        num_digits: after the decimal point.
        log_with_hierarchy: whether names for the trackers keep ``train/`` and so on.
        mean_pattern: regular expression of the names that are averaged.

    Raises:
        ValueError: a custom statistic lacks ``data_src`` or ``method_name``, two have the same name, or one has
            an ``"epoch"`` window although `by_epoch` is False.
        TypeError: a window is of another type.

    Examples:
        >>> processor = LogProcessor(custom_cfg=[dict(data_src="loss", method_name="max", log_name="loss_max", window_size=100)])
    """

    def __init__(
        self,
        window_size: int = 10,
        by_epoch: bool | None = None,
        custom_cfg: Sequence[Mapping[str, Any]] | None = None,
        num_digits: int = 4,
        log_with_hierarchy: bool = False,
        mean_pattern: str = r".*(loss|time|data_time|grad_norm).*",
    ) -> None:
        self.window_size = window_size
        self.by_epoch = by_epoch
        self.custom_cfg = [dict(cfg) for cfg in custom_cfg or ()]
        self.num_digits = num_digits
        self.log_with_hierarchy = log_with_hierarchy
        self.mean_pattern = re.compile(mean_pattern)
        self._is_following = False
        self._sizes_before: dict[str, int] = {}
        self._averaged: dict[tuple[str, str], bool] = {}
        self._counts_memory: bool | None = None
        self._device: str | None = None
        self._check_custom_cfg()

    def _check_custom_cfg(self) -> None:
        """Refuses custom statistics that lack a key, share a name, or have a window that cannot be counted."""
        names: set[str] = set()
        for index, cfg in enumerate(self.custom_cfg):
            missing = [key for key in ("data_src", "method_name") if key not in cfg]
            if missing:
                raise ValueError(
                    f"log_processor.custom_cfg[{index}] needs {' and '.join(missing)}; it has {sorted(cfg)}"
                )
            name = cfg.get("log_name", cfg["data_src"])
            if name in names:
                raise ValueError(
                    f"log_processor.custom_cfg[{index}]: {name!r} is shown already; give it another log_name"
                )
            names.add(name)
            window = cfg.get("window_size")
            if window is not None and not isinstance(window, int) and window not in ("epoch", "global"):
                raise TypeError(
                    f"log_processor.custom_cfg[{index}]: window_size is a number, 'epoch' or 'global', not {window!r}"
                )
            if window == "epoch" and self.by_epoch is False:
                raise ValueError(f"log_processor.custom_cfg[{index}]: window_size='epoch' needs by_epoch=True")

    # ---------------------------------------------------------------- lines

    def get_log_after_iter(self, runner: RunnerView, batch_idx: int, mode: str) -> tuple[dict[str, Any], str]:
        """Tag and line after an iteration.

        Args:
            runner: of which the message hub, the counters and the data loaders are read.
            batch_idx: index of the batch in its loader.
            mode: ``train``, ``val`` or ``test``.

        Returns:
            Values by name for the trackers, and the line.

        Raises:
            ValueError: another `mode`.
        """
        _check_mode(mode, _MODES)
        self.follow_loop(runner)
        custom = self._parse_windows_size(runner, batch_idx, self.custom_cfg)
        shown = self._collect_scalars(custom, runner, mode)
        if self.log_with_hierarchy:
            tag = self._collect_scalars(custom, runner, mode, True)
        else:
            tag = dict(shown)
        rates = {name: shown.pop(name) for name in list(shown) if name.endswith("lr")}
        head = [self._position(runner, batch_idx, mode, tag)]
        if mode != "train":
            set_name = current_set(runner, mode)
            if set_name is not None:
                head.append(set_name)
        head.append(" ".join(f"{name}: {value:.{self.num_digits}e}" for name, value in rates.items()))
        head.extend(self._clock(runner, shown))
        head.extend(self._memory(runner, tag))
        earlier = self._of_an_earlier_pass(runner, mode)
        items = self._items(
            (name, value) for name, value in shown.items() if _is_shown(mode, name) and name not in earlier
        )
        return tag, "".join(f"{part}  " for part in head) + "  ".join(items)

    def get_log_after_epoch(
        self, runner: RunnerView, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[dict[str, Any], str]:
        """Tag and line after a whole validation or test.

        Args:
            runner: as in :meth:`get_log_after_iter`.
            batch_idx: number of batches; the line shows it where the data have no length.
            mode: ``val`` or ``test``.
            with_non_scalar: whether the tag holds what is no number too, such as tables of a metric.

        Raises:
            ValueError: another `mode`.
        """
        _check_mode(mode, ("val", "test"))
        self.follow_loop(runner)
        custom = self._parse_windows_size(runner, batch_idx, self._with_epoch_times(mode))
        scalars = self._collect_scalars(custom, runner, mode, self.log_with_hierarchy)
        times = {name: scalars.pop(name) for name in list(scalars) if name.removeprefix(f"{mode}/") in _TIMES}
        others = self._collect_non_scalars(runner, mode)
        size = self._size_text(runner, mode)
        if size == "?" and batch_idx > 0:
            size = str(batch_idx)
        head = f"Iter({mode}) "
        if self.by_epoch:
            head = f"Epoch({mode}) "
        if self.by_epoch and mode == "val":
            head += f"[{self._epoch_text(runner, mode)}]"
        head += f"[{size}/{size}]"
        items = self._items({**scalars, **others, **times}.items())
        tag = {**scalars, **times}
        if with_non_scalar:
            tag = {**scalars, **others, **times}
        return tag, f"{head}    {'  '.join(items)}"

    def begin_pass(self, runner: RunnerView, mode: str) -> None:
        """Notes the values that earlier validations logged: the lines of a new one show none of their losses.

        Args:
            runner: of which the message hub is read.
            mode: ``val`` or ``test``.
        """
        prefix = f"{mode}/"
        scalars = runner.message_hub.log_scalars.items()
        self._sizes_before = {name: len(buffer.data[0]) for name, buffer in scalars if name.startswith(prefix)}

    def _of_an_earlier_pass(self, runner: RunnerView, mode: str) -> set[str]:
        """Names, without the mode, of values that got none since :meth:`begin_pass`."""
        if mode == "train":
            return set()
        scalars, prefix = runner.message_hub.log_scalars, f"{mode}/"
        return {
            name.removeprefix(prefix)
            for name, size in self._sizes_before.items()
            if name.startswith(prefix) and name in scalars and len(scalars[name].data[0]) == size
        }

    def _position(self, runner: RunnerView, batch_idx: int, mode: str, tag: dict[str, Any]) -> str:
        """``Epoch(train)  [1][10/45]`` or ``Iter(train) [ 10/450]``, with numbers aligned."""
        training = _built_loop(runner)
        if training is None:
            tag["iter"] = 0
        else:
            tag["iter"] = runner.iter + 1
        if mode == "train" and not self.by_epoch:
            total = str(runner.max_iters)
        else:
            total = self._size_text(runner, mode)
        inner = self.by_epoch or mode == "train"
        if inner:
            done = self._get_iter(runner, batch_idx)
        else:
            done = batch_idx + 1
        counter = f"[{str(done).rjust(len(total))}/{total}]"
        if not self.by_epoch:
            return f"Iter({mode}) {counter}"
        if mode == "test":
            return f"Epoch(test) {counter}"
        tag["epoch"], epoch = self._get_epoch(runner, mode), self._epoch_text(runner, mode)
        width = 0
        if training is not None:
            width = len(str(runner.max_epochs)) + 3
        return f"Epoch({mode}){f'[{epoch}]'.rjust(width)}{counter}"

    def _clock(self, runner: RunnerView, shown: dict[str, Any]) -> list[str]:
        eta = runner.message_hub.get_info("eta")
        if eta is None or any(name not in shown for name in _TIMES):
            return []
        times = [f"{name}: {shown.pop(name):.{self.num_digits}f}" for name in _TIMES]
        return [f"eta: {dt.timedelta(seconds=int(eta))}", *times]

    def _memory(self, runner: RunnerView, tag: dict[str, Any]) -> list[str]:
        """Largest memory held on the accelerator since the last line, in MB."""
        if self._counts_memory is None:
            self._device = get_device()  # asked for once: to look for vendors' packages takes longer than a log line
            self._counts_memory = peak_memory(self._device) is not None
        if not self._counts_memory:
            return []
        tag["memory"] = memory = self._get_max_memory(runner)
        return [f"memory: {memory}"]

    def _items(self, pairs: Any) -> list[str]:
        return [f"{name}: {self._text(value)}" for name, value in pairs]

    def _text(self, value: object) -> str:
        if isinstance(value, float | np.floating):
            return f"{value:.{self.num_digits}f}"
        if isinstance(value, torch.Tensor | np.ndarray):
            return f"\n{value}\n"
        return str(value)

    # ---------------------------------------------------------------- values

    # These names are the reference's: log processors of libraries override them.

    def _collect_scalars(
        self, custom_cfg: Sequence[Mapping[str, Any]], runner: RunnerView, mode: str, reserve_prefix: bool = False
    ) -> dict[str, Any]:
        """Statistics of everything logged in `mode`, by name."""
        prefix = f"{mode}/"
        shown_prefix = prefix if reserve_prefix else ""
        buffers = {
            key[len(prefix) :]: buffer
            for key, buffer in runner.message_hub.log_scalars.items()
            if key.startswith(prefix)
        }
        values, averaged = {}, self._averaged
        for name, buffer in _loss_last(buffers):
            shown = shown_prefix + name
            key = (mode, shown)
            if key not in averaged:  # a loss of a validation is one number for each validation
                is_of_iterations = mode == "train" or name.rpartition("/")[2] in _TIMES
                averaged[key] = is_of_iterations and self.mean_pattern.search(shown) is not None
            if averaged[key]:
                values[shown] = buffer.mean(self.window_size)
            else:
                values[shown] = buffer.current()
        for cfg in custom_cfg:
            source = cfg["data_src"]
            if source in buffers:
                options = {key: value for key, value in cfg.items() if key not in ("data_src", "log_name")}
                values[shown_prefix + cfg.get("log_name", source)] = buffers[source].statistics(**options)
        return values

    def _collect_non_scalars(self, runner: RunnerView, mode: str) -> dict[str, Any]:
        """What was logged in `mode` and is no number, by name."""
        prefix = f"{mode}/"
        shown_prefix = prefix if self.log_with_hierarchy else ""
        facts = runner.message_hub.runtime_info.items()
        return {shown_prefix + key[len(prefix) :]: value for key, value in facts if key.startswith(prefix)}

    def _with_epoch_times(self, mode: str) -> list[dict[str, Any]]:
        chosen = {cfg["data_src"].removeprefix(f"{mode}/") for cfg in self.custom_cfg}
        means = [
            {"data_src": name, "window_size": "epoch", "method_name": "mean"} for name in _TIMES if name not in chosen
        ]
        return [*self.custom_cfg, *means]

    def _parse_windows_size(
        self, runner: RunnerView, batch_idx: int, custom_cfg: Sequence[Mapping[str, Any]] | None = None
    ) -> list[dict[str, Any]]:
        """The statistics (of `custom_cfg`, the processor's own by default) with ``epoch`` and ``global`` as numbers."""
        custom = custom_cfg
        if custom_cfg is None:
            custom = self.custom_cfg
        if not custom:
            return []
        sizes = {"epoch": batch_idx + 1, "global": runner.iter + 1}
        copies = [dict(cfg) for cfg in custom]
        for cfg in copies:
            if isinstance(cfg.get("window_size"), str):
                cfg["window_size"] = sizes[cfg["window_size"]]
        return copies

    def _get_max_memory(self, runner: RunnerView) -> int:
        """Largest memory that tensors held on the accelerator since the last line, in MB."""
        device = getattr(runner.model, "output_device", None) or self._device
        peak_bytes = peak_memory(device) or 0
        reset_peak_memory(device)
        return peak_bytes // _BYTES_PER_MB

    def _get_iter(self, runner: RunnerView, batch_idx: int) -> int:
        """Number of the batch in its epoch, or of the iteration in the run."""
        if self.by_epoch:
            return batch_idx + 1
        return int(runner.iter) + 1

    def _get_epoch(self, runner: RunnerView, mode: str) -> int:
        """Number of the epoch; 0 for a validation without training."""
        if mode == "train":
            return int(runner.epoch) + 1
        if _built_loop(runner) is None:
            return 0
        return int(runner.epoch)

    def _epoch_text(self, runner: RunnerView, mode: str) -> str:
        """Number of the epoch in a line; of a validation within an epoch with the part of it that is over."""
        is_of_training = mode == "val" and _built_loop(runner) is not None
        if is_of_training and batches_into_epoch(runner):
            return epochs_over(runner)
        return str(self._get_epoch(runner, mode))

    def _get_cur_loop(self, runner: RunnerView, mode: str) -> Any:
        """The loop of `mode`."""
        return getattr(runner, f"{mode}_loop")

    def _get_dataloader_size(self, runner: RunnerView, mode: str) -> int:
        """Batches of the loop of `mode`."""
        return len(self._get_cur_loop(runner, mode).dataloader)

    def _size_text(self, runner: RunnerView, mode: str) -> str:
        """Batches of the loop of `mode`, or ``?`` of a stream."""
        try:
            return str(self._get_dataloader_size(runner, mode))
        except (TypeError, AttributeError):  # the data has no length, or the loop of a library no data loader
            return "?"

    def follow_loop(self, runner: RunnerView) -> None:
        """Counts as the training loop does, where nobody said how, and warns where what was said does not fit."""
        if self._is_following:
            return
        self._is_following = True
        by_loop = counts_epochs(train_loop_of(runner))
        if self.by_epoch is not None and bool(self.by_epoch) is not by_loop and train_loop_of(runner) is not None:
            if self.by_epoch:
                units = "epochs", "iterations"
            else:
                units = "iterations", "epochs"
            _LOGGER.warning(
                "log_processor's by_epoch=%s counts %s in log lines and this run counts %s; leave it out",
                self.by_epoch,
                *units,
            )
        if self.by_epoch is None:
            self.by_epoch = by_loop


def _check_mode(mode: str, allowed: Sequence[str]) -> None:
    if mode not in allowed:
        raise ValueError(f"mode must be one of {', '.join(allowed)}, not {mode!r}")


def _is_shown(mode: str, name: str) -> bool:
    """In training everything; in validation only losses, as metrics belong to the whole dataset; in a test nothing."""
    return mode == "train" or (mode == "val" and name.startswith("loss"))


def _loss_last(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Items in the order of logging, but ``loss`` behind the parts that it is the sum of."""
    parts = [name for name in values if "loss" in name]
    behind = None
    if "loss" in parts:
        behind = parts[-1]
    for name, value in values.items():
        if name != "loss":
            yield name, value
        if name == behind:
            yield "loss", values["loss"]


def _built_loop(runner: RunnerView) -> Any | None:
    """The training loop where there is one that was built."""
    loop = train_loop_of(runner)
    if isinstance(loop, Mapping):
        return None
    return loop
