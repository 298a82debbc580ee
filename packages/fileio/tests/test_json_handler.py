from __future__ import annotations

import pytest

import eng.fileio as fileio

yaml = pytest.importorskip("yaml")


@pytest.mark.parametrize("fmt", ["json", "yaml"])
def test_what_a_format_has_no_word_for_is_named(fmt):
    with pytest.raises(TypeError, match=f"builtins.object has no form in {fmt}; convert it"):
        fileio.dump(object(), file_format=fmt)
