from __future__ import annotations

import errno
import io
import logging

from eng.logging._handlers import ConsoleHandler, file_handler


class Full(io.StringIO):
    """A file on a full disk, as long as it is told so."""

    is_full = True

    def flush(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_file_on_a_full_disk_is_reported_once_and_tried_again(tmp_path, capsys) -> None:
    handler = file_handler(str(tmp_path / "a.log"), "w", None)
    handler.stream.close()
    handler.stream = disk = Full()
    logger = logging.Logger("of this test")  # noqa: LOG001  # known to nobody else
    logger.addHandler(handler)
    for _ in range(3):
        logger.warning("one")
    assert capsys.readouterr().err.count("log lines cannot be written to") == 1
    disk.is_full = False
    logger.warning("two")
    assert disk.getvalue().endswith("two\n")
    assert capsys.readouterr().err == ""


def test_other_failures_of_a_handler_are_logged_as_before(capsys) -> None:
    logger = logging.Logger("of this test")  # noqa: LOG001  # known to nobody else
    logger.addHandler(ConsoleHandler())
    logger.warning("%d numbers", "no")
    assert "--- Logging error ---" in capsys.readouterr().err
