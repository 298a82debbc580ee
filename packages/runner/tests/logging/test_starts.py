from __future__ import annotations

from eng.runner import LogProcessor
from eng.runner.log_processor import LogProcessor as Same

assert LogProcessor is Same


def test_windows_without_custom_statistics_are_those_of_the_processor(make_runner) -> None:
    runner = make_runner()
    processor = LogProcessor(custom_cfg=[dict(data_src="loss", method_name="mean", window_size="epoch")])
    assert processor._parse_windows_size(runner, 6) == [dict(data_src="loss", method_name="mean", window_size=7)]
    given = [dict(data_src="loss", method_name="mean", window_size="global")]
    assert processor._parse_windows_size(runner, 6, given)[0]["window_size"] == 1
    assert given[0]["window_size"] == "global"
