from __future__ import annotations

import re

from eng.logging import MMLogger

FILE = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d - eng - "


def test_the_file_is_plain_and_has_the_year(tmp_path, capsys):
    logger = MMLogger.get_instance("file", log_file=str(tmp_path / "run.log"))
    logger.warning("careful")
    assert logger.log_file == str(tmp_path / "run.log")
    assert re.fullmatch(FILE + "WARNING - careful\n", (tmp_path / "run.log").read_text())
