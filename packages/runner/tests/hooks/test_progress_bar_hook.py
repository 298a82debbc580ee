from __future__ import annotations

from eng.hooks import ProgressBarHook


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
