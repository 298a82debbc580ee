from __future__ import annotations

import logging

import pytest

from eng.compat.utils import dl_utils


def test_time_counter(capsys, caplog) -> None:
    @dl_utils.TimeCounter(log_interval=2, warmup_interval=2)
    def counted():
        return 5

    assert [counted() for _ in range(4)] == [5] * 4
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ms")[0].rpartition(":")[0] for line in lines] == [
        "[counted]-mean of 1 runs", "[counted]-mean of 3 runs",
    ]  # fmt: skip
    with caplog.at_level(logging.INFO), dl_utils.TimeCounter(tag="a block", logger=logging.getLogger("blocks")):
        pass
    assert "[a block]-mean of" in caplog.text
    with pytest.raises(ValueError, match="give a tag"), dl_utils.TimeCounter():
        pass
