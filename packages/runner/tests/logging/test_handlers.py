from __future__ import annotations

import logging

import pytest

from eng.logging import MMLogger
from eng.logging.logger import FilterDuplicateWarning


def test_remembered_warnings_are_bounded():
    seen = FilterDuplicateWarning()
    for number in range(10_000):
        seen.filter(logging.LogRecord("x", logging.WARNING, "", 1, f"warning {number}", None, None))
    assert len(seen.seen) <= 4096


@pytest.mark.parametrize("kind", ["TimedRotatingFileHandler", "RotatingFileHandler", "WatchedFileHandler"])
def test_other_file_handlers(tmp_path, kind):
    cfg = {"type": kind}
    logger = MMLogger.get_instance(f"handler-{kind}", log_file=str(tmp_path / "a.log"), file_handler_cfg=cfg)
    logger.info("hello")
    assert [type(handler).__name__ for handler in logger.handlers][1] == kind
    assert "hello" in (tmp_path / "a.log").read_text()
    assert cfg == {"type": kind}


@pytest.mark.parametrize("cfg", [{}, {"type": "SMTPHandler"}], ids=["none", "no-file"])
def test_unknown_file_handler_lists_the_known(tmp_path, cfg):
    with pytest.raises(ValueError, match="TimedRotatingFileHandler"):
        MMLogger.get_instance("bad-handler", log_file=str(tmp_path / "a.log"), file_handler_cfg=cfg)


def test_without_standard_output_lines_go_to_the_file_alone(tmp_path, monkeypatch, capsys):
    logger = MMLogger.get_instance("handler-no-stdout", log_file=str(tmp_path / "a.log"))
    monkeypatch.setattr("sys.stdout", None)
    logger.info("hello")
    monkeypatch.undo()
    assert "hello" in (tmp_path / "a.log").read_text()
    assert capsys.readouterr().err == ""
