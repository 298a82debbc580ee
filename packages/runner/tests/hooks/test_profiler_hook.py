from __future__ import annotations

import json

import pytest
from hooks_parts import lines_of

from eng.hooks import NPUProfilerHook, ProfilerHook


def test_the_profiler_writes_a_trace(make_runner, tmp_path) -> None:
    tables = []
    hook = ProfilerHook(
        by_epoch=False, profile_times=2, json_trace_path=str(tmp_path / "trace.json"), on_trace_ready=tables.append
    )
    make_runner(custom_hooks=[hook]).train()
    assert "traceEvents" in json.loads((tmp_path / "trace.json").read_text())
    assert len(tables) == 1


def test_the_profiler_logs_a_table(make_runner) -> None:
    hook = dict(type="ProfilerHook", profile_times=1, on_trace_ready=dict(type="log_trace", row_limit=3))
    runner = make_runner(custom_hooks=[hook], log_level="INFO")
    runner.train()
    assert any("Self CPU" in line for line in lines_of(runner))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(profile_times=0), "profile_times must be at least 1, got 0"),
        (dict(activity_with_cpu=False), "choose activity_with_cpu or activity_with_cuda"),
        (dict(on_trace_ready=dict(type="print")), "of type 'log_trace' or 'tb_trace'"),
        (dict(profile_times=9), "profile_times is 9, but the run has only 2 epochs"),
    ],
    ids=["times", "activities", "handler", "short run"],
)
def test_a_profile_that_cannot_be(make_runner, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        make_runner(custom_hooks=[ProfilerHook(**options)]).train()


def test_an_npu_profile_needs_its_library() -> None:
    with pytest.raises(ValueError, match=r"begin \(3\) must be below end \(2\)"):
        NPUProfilerHook(begin=3, end=2)
    with pytest.raises(ModuleNotFoundError, match="torch_npu"):
        NPUProfilerHook()
