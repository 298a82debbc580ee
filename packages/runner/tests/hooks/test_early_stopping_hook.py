from __future__ import annotations

import pytest

from eng.hooks import EarlyStoppingHook


@pytest.mark.parametrize(
    ("options", "scores", "epochs"),
    [
        (dict(patience=2, min_delta=0.0), [1, 2, 2, 2, 9], 4),
        (dict(patience=2, min_delta=0.5), [1, 1.4, 1.4, 9], 3),
        (dict(patience=1, rule="less", min_delta=0.0), [3, 2, 2, 1], 3),
        (dict(patience=9, stopping_threshold=2.5), [1, 2, 3, 4], 3),
        (dict(patience=9), [1, float("inf"), 3], 2),
        (dict(patience=9), [1, 2, 3, 4, 5], 5),
    ],
    ids=["patience", "min_delta", "less", "threshold", "not finite", "none"],
)
def test_when_training_stops_early(make_runner, parts, options, scores, epochs) -> None:
    hook = EarlyStoppingHook("acc", **options)
    runner = make_runner(**parts.validation(acc=scores), train_cfg=dict(max_epochs=5), custom_hooks=[hook])
    runner.train()
    assert runner.epoch == epochs


def test_a_metric_to_watch_that_is_missing(make_runner, parts, heard) -> None:
    make_runner(**parts.validation(f1=[1]), custom_hooks=[EarlyStoppingHook("acc")]).train()
    assert heard.text.count("EarlyStoppingHook watches 'acc', which the validation did not give; it gave ['f1']") == 1
    with pytest.raises(RuntimeError, match="watches 'acc'"):
        make_runner(**parts.validation(f1=[1]), custom_hooks=[EarlyStoppingHook("acc", strict=True)]).train()
