"""LogProcessor: formats logged values as a line of text, and collects them for the trackers."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """Chooses a statistic for each logged value and formats the values as a line.

    Training values and times whose name matches `mean_pattern` are averaged over the last `window_size` values. Of all
    other values, such as the loss of a validation, the last one is shown.

    Args:
        window_size: number of values in a mean.
        by_epoch: whether lines count epochs. None (default) follows the training loop.
        custom_cfg: statistics of your own. Each is a dict with ``data_src`` (the value, without ``train/``),
            ``method_name`` (a statistic of :class:`~eng.logging.HistoryBuffer`), optionally ``log_name`` (under
            which it is shown, in place of the value by default), ``window_size`` (a number, ``"epoch"`` or
            ``"global"``) and further arguments of that statistic.
        num_digits: digits after the decimal point.
        log_with_hierarchy: whether names for the trackers keep their prefix, such as ``train/``.
        mean_pattern: regular expression for the names of values that are averaged.

    Raises:
        ValueError: a custom statistic lacks ``data_src`` or ``method_name``, two have the same name, or one has
            an ``"epoch"`` window although `by_epoch` is False.
        TypeError: a ``window_size`` is neither a number nor ``"epoch"`` nor ``"global"``.

    Examples:
        >>> largest = dict(data_src="loss", method_name="max", log_name="loss_max", window_size=100)
        >>> processor = LogProcessor(custom_cfg=[largest])
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
        """Raises an error for custom statistics that lack a key, share a name, or have an invalid window size."""
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

    # ---------------------------------------------------------------- texts of log lines

    def get_log_after_iter(self, runner: RunnerView, batch_idx: int, mode: str) -> tuple[dict[str, Any], str]:
        """Returns the values for the trackers and the log line after an iteration.

        Args:
            runner: the run, whose message hub, counters and dataloaders are read.
            batch_idx: index of the batch in its dataloader.
            mode: ``train``, ``val`` or ``test``.

        Returns:
            Values by name for the trackers, and the line.

        Raises:
            ValueError: `mode` is unknown.
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
        """Returns the values for the trackers and the log line after a complete validation or test.

        Args:
            runner: the run, whose message hub, counters and dataloaders are read.
            batch_idx: number of batches; the line shows it if the dataloader has no length.
            mode: ``val`` or ``test``.
            with_non_scalar: whether the values include those that are no numbers, such as tables of a metric.

        Raises:
            ValueError: `mode` is unknown.
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
        """Records the number of logged values at the beginning of a validation or test.

        Lines of the new validation then leave out losses that only earlier validations have logged.

        Args:
            runner: the run, whose message hub is read.
            mode: ``val`` or ``test``.
        """
        prefix = f"{mode}/"
        scalars = runner.message_hub.log_scalars.items()
        self._sizes_before = {name: len(buffer.data[0]) for name, buffer in scalars if name.startswith(prefix)}

    def _of_an_earlier_pass(self, runner: RunnerView, mode: str) -> set[str]:
        """Returns the names, without ``val/``, of values that were last logged before :meth:`begin_pass`."""
        if mode == "train":
            return set()
        scalars, prefix = runner.message_hub.log_scalars, f"{mode}/"
        return {
            name.removeprefix(prefix)
            for name, size in self._sizes_before.items()
            if name.startswith(prefix) and name in scalars and len(scalars[name].data[0]) == size
        }

    def _position(self, runner: RunnerView, batch_idx: int, mode: str, tag: dict[str, Any]) -> str:
        """Returns the beginning of a line: ``Epoch(train)  [1][10/45]`` or ``Iter(train) [ 10/450]``, numbers aligned."""
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
        """Returns the texts for the remaining time and the times of an iteration, and removes the times from ``shown``.

        Empty if the message hub has no ``eta``, or a time is not logged.
        """
        eta = runner.message_hub.get_info("eta")
        if eta is None or any(name not in shown for name in _TIMES):
            return []
        times = [f"{name}: {shown.pop(name):.{self.num_digits}f}" for name in _TIMES]
        return [f"eta: {dt.timedelta(seconds=int(eta))}", *times]

    def _memory(self, runner: RunnerView, tag: dict[str, Any]) -> list[str]:
        """Returns the text for the peak memory on the accelerator since the last line, in MB; empty on a CPU."""
        if self._counts_memory is None:
            self._device = get_device()  # Cached: the search for vendors' packages takes longer than a log line.
            self._counts_memory = peak_memory(self._device) is not None
        if not self._counts_memory:
            return []
        tag["memory"] = memory = self._get_max_memory(runner)
        return [f"memory: {memory}"]

    def _items(self, pairs: Iterable[tuple[str, Any]]) -> list[str]:
        return [f"{name}: {self._text(value)}" for name, value in pairs]

    def _text(self, value: object) -> str:
        if isinstance(value, float | np.floating):
            return f"{value:.{self.num_digits}f}"
        if isinstance(value, torch.Tensor | np.ndarray):
            return f"\n{value}\n"
        return str(value)

    # ---------------------------------------------------------------- values of log lines

    # The names of these methods are MMEngine's, because log processors of libraries override them.

    def _collect_scalars(
        self, custom_cfg: Sequence[Mapping[str, Any]], runner: RunnerView, mode: str, reserve_prefix: bool = False
    ) -> dict[str, Any]:
        """Returns the statistic of each value that is logged in `mode`, by name."""
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
            if key not in averaged:  # A validation logs a loss once, so that a mean would mix several validations.
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
        """Returns the logged values of `mode` that are no numbers, such as tables of a metric, by name."""
        prefix = f"{mode}/"
        shown_prefix = prefix if self.log_with_hierarchy else ""
        facts = runner.message_hub.runtime_info.items()
        return {shown_prefix + key[len(prefix) :]: value for key, value in facts if key.startswith(prefix)}

    def _with_epoch_times(self, mode: str) -> list[dict[str, Any]]:
        """Returns the custom statistics, and for ``time`` and ``data_time`` their means over the complete pass.

        A time for which the user has set a custom statistic gets no mean.
        """
        chosen = {cfg["data_src"].removeprefix(f"{mode}/") for cfg in self.custom_cfg}
        means = [
            {"data_src": name, "window_size": "epoch", "method_name": "mean"} for name in _TIMES if name not in chosen
        ]
        return [*self.custom_cfg, *means]

    def _parse_windows_size(
        self, runner: RunnerView, batch_idx: int, custom_cfg: Sequence[Mapping[str, Any]] | None = None
    ) -> list[dict[str, Any]]:
        """Copies `custom_cfg`, by default the processor's, with ``"epoch"`` and ``"global"`` windows as numbers."""
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
        """Returns the peak memory of tensors on the accelerator since the last line, in MB."""
        device = getattr(runner.model, "output_device", None) or self._device
        peak_bytes = peak_memory(device) or 0
        reset_peak_memory(device)
        return peak_bytes // _BYTES_PER_MB

    def _get_iter(self, runner: RunnerView, batch_idx: int) -> int:
        """Returns the number of the batch in its epoch or, if lines count iterations, of the iteration in the run."""
        if self.by_epoch:
            return batch_idx + 1
        return int(runner.iter) + 1

    def _get_epoch(self, runner: RunnerView, mode: str) -> int:
        """Returns the number of the epoch; 0 for a validation without training."""
        if mode == "train":
            return int(runner.epoch) + 1
        if _built_loop(runner) is None:
            return 0
        return int(runner.epoch)

    def _epoch_text(self, runner: RunnerView, mode: str) -> str:
        """Returns the epoch for a line, such as ``3``; for a validation inside an epoch a fraction, such as ``2.25``."""
        is_of_training = mode == "val" and _built_loop(runner) is not None
        if is_of_training and batches_into_epoch(runner):
            return epochs_over(runner)
        return str(self._get_epoch(runner, mode))

    def _get_cur_loop(self, runner: RunnerView, mode: str) -> Any:
        """Returns the loop of `mode`."""
        return getattr(runner, f"{mode}_loop")

    def _get_dataloader_size(self, runner: RunnerView, mode: str) -> int:
        """Returns the number of batches of the loop of `mode`."""
        return len(self._get_cur_loop(runner, mode).dataloader)

    def _size_text(self, runner: RunnerView, mode: str) -> str:
        """Returns the number of batches of the loop of `mode` as text, ``?`` for a stream."""
        try:
            return str(self._get_dataloader_size(runner, mode))
        except (TypeError, AttributeError):  # A stream has no length, and a library's loop may have no dataloader.
            return "?"

    def follow_loop(self, runner: RunnerView) -> None:
        """Sets ``by_epoch`` to the unit of the training loop if it is None; warns if ``by_epoch`` contradicts the loop."""
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
    """Whether a line after an iteration shows a value: all in training, only losses in validation, none in a test.

    Metrics of a validation are computed for the complete dataset, so lines after its iterations have none.
    """
    return mode == "train" or (mode == "val" and name.startswith("loss"))


def _loss_last(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields names and values in the order of logging, but ``loss`` after the losses of which it is the sum."""
    losses = [name for name in values if "loss" in name]
    last_loss = None
    if "loss" in losses:
        last_loss = losses[-1]
    for name, value in values.items():
        if name != "loss":
            yield name, value
        if name == last_loss:
            yield "loss", values["loss"]


def _built_loop(runner: RunnerView) -> Any | None:
    """Returns the training loop if it is built, else None."""
    loop = train_loop_of(runner)
    if isinstance(loop, Mapping):
        return None
    return loop
