from __future__ import annotations

import io
import logging
import re
import subprocess
import sys

import pytest

from eng.logging import MMLogger, print_log

CONSOLE = r"\d\d/\d\d \d\d:\d\d:\d\d - eng - "


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_on_the_console(capsys):
    logger = MMLogger.get_instance("lines")
    logger.info("this is %s", "a test")
    assert re.fullmatch(CONSOLE + "INFO - this is a test\n", capsys.readouterr().out)


def test_an_error_names_its_place(capsys):
    MMLogger.get_instance("error").error("division by zero")
    out = capsys.readouterr().out
    assert re.fullmatch(
        CONSOLE + r"ERROR - .*test_logger\.py - test_an_error_names_its_place - \d+ - division by zero\n", out
    )


def test_colours_only_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    MMLogger.get_instance("terminal").warning("loss [bold]1[/bold] " + "x" * 300)
    text = terminal.getvalue()
    assert "\x1b[" in text
    assert re.fullmatch(CONSOLE + r"WARNING - loss \[bold\]1\[/bold\] x{300}\n", re.sub(r"\x1b\[[\d;]*m", "", text))


def test_each_warning_once(capsys):
    logger = MMLogger.get_instance("once")
    for _ in range(3):
        logger.warning("value %d is odd", 3)
    logger.warning("value %d is odd", 5)
    logger.error("again")
    logger.error("again")
    out = capsys.readouterr().out
    assert (out.count("value 3"), out.count("value 5"), out.count("again")) == (1, 1, 2)


def test_levels(capsys, tmp_path):
    logger = MMLogger.get_instance("levels", log_level="WARNING", log_file=str(tmp_path / "a.log"))
    logger.info("hidden")
    logger.setLevel("ERROR")
    logger.warning("hidden too")
    assert capsys.readouterr().out == ""
    assert (tmp_path / "a.log").read_text() == ""
    with pytest.raises(ValueError, match="LOUD"):
        MMLogger.get_instance("loud", log_level="LOUD")


def test_logging_disable_holds_for_a_logger_that_has_logged(capsys):
    logger = MMLogger("disabled-after-a-line")
    logger.info("before")
    logging.disable(logging.INFO)
    try:
        logger.info("meanwhile")
        logger.warning("a warning")
    finally:
        logging.disable(logging.NOTSET)
    logger.info("after")
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert [line in text for line in ("before", "meanwhile", "a warning", "after")] == [True, False, True, True]


def test_what_the_packages_log_reaches_the_run_s_handlers(tmp_path, capsys):
    MMLogger.get_instance("leaf", log_file=str(tmp_path / "a.log"))
    logging.getLogger("eng.some.leaf").info("from a leaf")
    logging.getLogger("other").warning("from elsewhere")
    assert "eng.some.leaf - INFO - from a leaf" in (tmp_path / "a.log").read_text()
    assert "elsewhere" not in (tmp_path / "a.log").read_text()


def test_the_root_logger_is_neither_touched_nor_used(capsys):
    root = logging.getLogger()
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    before = (list(root.handlers), root.level)
    MMLogger.get_instance("root")
    assert (list(root.handlers), root.level) == before
    root.addHandler(handler)
    try:
        MMLogger.get_instance("root").warning("mine")
    finally:
        root.removeHandler(handler)
    assert seen == []


def test_handlers_put_on_eng_get_the_records(capsys):
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    logger = MMLogger.get_instance("extra")
    logging.getLogger("eng").addHandler(handler)
    logger.info("hello")
    assert seen == ["hello"]


@pytest.mark.parametrize(("distributed", "level"), [(True, "INFO"), (False, "DEBUG"), (False, "INFO")], ids=str)
def test_files_per_rank(tmp_path, monkeypatch, distributed, level, capsys):
    from eng.logging import logger as module

    monkeypatch.setattr(module, "get_rank", lambda: 1)
    monkeypatch.setattr(module, "get_world_size", lambda: 4)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    logger = MMLogger.get_instance("rank", log_file=str(tmp_path / "run.log"), distributed=distributed, log_level=level)
    logger.info("from rank 1")
    names = [path.name for path in tmp_path.iterdir()]
    if distributed or level == "DEBUG":
        assert len(names) == 1
        assert re.fullmatch(r"run_.*@.*_device1_rank1\.log", names[0])
    else:
        assert names == []
    assert capsys.readouterr().out == ""


class TestPrintLog:
    def test_where_it_goes(self, capsys):
        plain = logging.getLogger("plain-for-print-log")
        plain.setLevel(logging.INFO)
        seen = []
        handler = logging.Handler()
        handler.emit = lambda record: seen.append(record.getMessage())
        plain.addHandler(handler)
        print_log("printed")
        print_log("logged", logger=plain)
        print_log("nowhere", logger="silent")
        MMLogger.get_instance("named")
        print_log("by name", logger="named")
        print_log("by current", logger="current", level=logging.WARNING)
        out = capsys.readouterr().out
        assert seen == ["logged"]
        assert out.startswith("printed\n")
        assert "INFO - by name" in out
        assert "WARNING - by current" in out
        assert "nowhere" not in out

    def test_unknown_names(self):
        with pytest.raises(ValueError, match="no MMLogger called 'welp'"):
            print_log("hi", logger="welp")
        with pytest.raises(TypeError, match="int"):
            print_log("hi", logger=3)


def test_importing_brings_neither_rich_s_console_nor_plots():
    code = "import sys, eng.logging; print([m for m in ('rich.console', 'matplotlib', 'cv2') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
