from __future__ import annotations

import pytest

import eng.fileio as fileio


@pytest.mark.parametrize("formats", [3, ["a", 1]], ids=repr)
def test_formats_must_be_text(formats):
    with pytest.raises(TypeError, match="file_formats takes one str"):
        fileio.register_handler(formats)
