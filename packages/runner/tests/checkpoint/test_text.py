"""Texts out of a file never steer a terminal."""

from __future__ import annotations

import pytest
from torch import nn

from eng.checkpoint import StateMismatchError, load_checkpoint
from eng.checkpoint._text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain ü", "plain ü"), ("\x1b[31m", "\\x1b[31m"), ("a\nb", "a\nb"), ("\x9b", "\\x9b"), ("\u202eabc", "\\u202eabc"), ("\r", "\\r")],
)  # fmt: skip
def test_control_characters_are_written_out(text, shown):
    assert visible(text) == shown


def test_errors_and_reports_hold_no_escape_sequences(checkpoint_with_escapes, caplog, capsys):
    with pytest.raises(StateMismatchError, match="owned") as caught:
        load_checkpoint(nn.Linear(1, 1), checkpoint_with_escapes, strict=True)
    load_checkpoint(nn.Linear(1, 1), checkpoint_with_escapes)
    out = capsys.readouterr()
    assert not set(str(caught.value) + caplog.text + out.out + out.err) & set("\x1b\x07\x9b\u202e")


def test_names_that_are_refused_hold_no_escape_sequences(tmp_path):
    import io
    import zipfile

    from eng.checkpoint import UntrustedCheckpointError, read_checkpoint

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02c\x1b[2J\nx\n.")
    with pytest.raises(UntrustedCheckpointError, match="x1b") as caught:
        read_checkpoint(buffer)
    assert "\x1b" not in str(caught.value)
