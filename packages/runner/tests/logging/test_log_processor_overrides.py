"""The reference's names in LogProcessor: libraries override them, and the lines follow."""

from __future__ import annotations

import pytest

from eng.runner import LogProcessor
from eng.runner.log_processor import LogProcessor as Same

assert LogProcessor is Same


class Overriding(LogProcessor):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.called: set[str] = set()

    def _get_cur_loop(self, runner, mode):
        self.called.add("_get_cur_loop")
        return super()._get_cur_loop(runner, mode)

    def _get_iter(self, runner, batch_idx):
        self.called.add("_get_iter")
        return 70 + super()._get_iter(runner, batch_idx)

    def _get_epoch(self, runner, mode):
        self.called.add("_get_epoch")
        return 30 + super()._get_epoch(runner, mode)

    def _get_dataloader_size(self, runner, mode):
        self.called.add("_get_dataloader_size")
        assert self._get_cur_loop(runner, mode).dataloader
        return 999

    def _collect_scalars(self, custom_cfg, runner, mode, reserve_prefix=False):
        self.called.add("_collect_scalars")
        return {**super()._collect_scalars(custom_cfg, runner, mode, reserve_prefix), "added": 0.25}

    def _collect_non_scalars(self, runner, mode):
        self.called.add("_collect_non_scalars")
        return {**super()._collect_non_scalars(runner, mode), "table": "one"}

    def _parse_windows_size(self, runner, batch_idx, custom_cfg=None):
        self.called.add("_parse_windows_size")
        return [{**cfg, "method_name": "max"} for cfg in super()._parse_windows_size(runner, batch_idx, custom_cfg)]

    def _get_max_memory(self, runner):
        self.called.add("_get_max_memory")
        return 12345


def lines_of(runner) -> list[str]:
    from pathlib import Path

    return (Path(runner.log_dir) / f"{runner.timestamp}.log").read_text().splitlines()


def test_overrides_decide_what_a_line_says(make_runner, parts, monkeypatch) -> None:
    monkeypatch.setattr("eng.runner.log_processor.peak_memory", lambda device: 0)
    processor = Overriding(
        custom_cfg=[dict(data_src="loss", method_name="mean", log_name="worst", window_size="epoch")]
    )
    runner = make_runner(
        log_processor=processor, log_level="INFO", default_hooks=dict(logger=dict(type="LoggerHook", interval=4)),
        **parts.validation(acc=[1]),
    )  # fmt: skip
    runner.train()
    text = "\n".join(lines_of(runner))
    assert "Epoch(train)[31][ 74/999]" in text
    assert "Epoch(val) [31][999/999]" in text
    for part in ("added: 0.2500", "memory: 12345", "table: one"):
        assert part in text
    losses = runner.message_hub.get_scalar("train/loss").data[0][:4]
    assert f"worst: {max(losses):.4f}" in text
    assert processor.called == {name for name in vars(Overriding) if name.startswith("_") and not name.startswith("__")}


@pytest.mark.parametrize("mode", ["val", "test"])
def test_a_validation_over_a_stream_has_a_line_without_a_length(make_runner, parts, mode) -> None:
    class Stream:
        def __iter__(self):
            return iter(parts.loader())

    runner = make_runner(**parts.validation(acc=[1]))
    runner.train()
    loop = type("Loop", (), {"dataloader": Stream()})()
    processor = LogProcessor()
    monkey = type("View", (), {f"{mode}_loop": loop, "train_loop": runner.train_loop, "iter": 8, "epoch": 2,
                               "max_epochs": 2, "max_iters": 8, "message_hub": runner.message_hub, "model": runner.model})()  # fmt: skip
    assert "[3/?]" in processor.get_log_after_iter(monkey, 2, mode)[1]
