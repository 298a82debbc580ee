from __future__ import annotations

import pytest

from eng.hooks import SyncBuffersHook


@pytest.mark.parametrize(
    ("train_cfg", "averaged"),
    [
        (dict(max_epochs=2), 2),  # at the end of each epoch, and not again before its validation
        (dict(by_epoch=False, max_iters=8, val_interval=4), 3),  # before each validation, and at the end
    ],
    ids=["epochs", "iterations"],
)
def test_when_buffers_are_averaged_over_ranks(make_runner, parts, monkeypatch, train_cfg, averaged) -> None:
    calls = []
    monkeypatch.setattr("eng.hooks.sync_buffer_hook.is_distributed", lambda: True)
    monkeypatch.setattr("eng.hooks.sync_buffer_hook.all_reduce_params", lambda buffers, op: calls.append(op))
    make_runner(custom_hooks=[SyncBuffersHook()], train_cfg=train_cfg, **parts.validation(acc=[1])).train()
    assert calls == ["mean"] * averaged
