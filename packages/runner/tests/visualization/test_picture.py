from __future__ import annotations

import pytest
from curve_files import run_command, start

from eng.visualization._commands import curves


def test_a_picture_in_no_format_is_refused(tmp_path) -> None:
    start(tmp_path, "20260101_000000", 4)
    with pytest.raises(ValueError, match=r"x\.foo: a picture ends in one of .*\.png.*or \.html"):
        run_command(curves, tmp_path, "--out", tmp_path / "x.foo")
