from __future__ import annotations

import pytest

from eng.hooks import EmptyCacheHook


@pytest.mark.parametrize(
    ("options", "times"),
    [
        (dict(), 2 + 1),
        (dict(before_epoch=True, after_epoch=False), 2 + 1),
        (dict(after_epoch=False, after_iter=True), 8 + 4),
        (dict(before_epoch=True, after_iter=True), 6 + 12),
        (dict(after_epoch=False), 0),
    ],
    ids=str,
)
def test_when_cached_memory_is_given_back(make_runner, parts, monkeypatch, options, times) -> None:
    calls = []
    monkeypatch.setattr("eng.hooks.empty_cache_hook.empty_cache", lambda: calls.append(1))
    validation = dict(parts.validation(acc=[1]), train_cfg=dict(max_epochs=2, val_begin=2))
    make_runner(custom_hooks=[EmptyCacheHook(**options)], **validation).train()
    assert len(calls) == times
