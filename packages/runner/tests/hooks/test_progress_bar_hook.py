from __future__ import annotations

from eng.hooks import ProgressBarHook
from eng.logging.progress import Bar


def test_hooks_without_work_here_leave_a_run_alone(make_runner, parts) -> None:
    model = parts.Line()
    hooks = [
        dict(type="EmptyCacheHook", before_epoch=True, after_iter=True),
        dict(type="SyncBuffersHook"),
        ProgressBarHook(),
    ]
    runner = make_runner(model=model, custom_hooks=hooks, **parts.validation(acc=[1]))
    runner.train()
    assert runner.iter == 8


def test_the_bar_of_a_training_is_at_its_latest_iteration_during_a_validation(make_runner, parts, monkeypatch) -> None:
    opened: list[Bar] = []
    shown: list[int] = []

    def open_one(title: str, total: int | None, done: int = 0, **options: float) -> Bar:
        if title == "val":
            shown.append(opened[0].done)
        opened.append(Bar(title, total, done, "it", refresh_seconds=1e9, screen=None))
        return opened[-1]

    monkeypatch.setattr("eng.hooks.progress_bar_hook.open_bar", open_one)
    runner = make_runner(**parts.validation(acc=[0.5, 0.6]), custom_hooks=[dict(type="ProgressBarHook")])
    runner.train()
    assert shown == [4, 8]
