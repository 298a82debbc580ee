"""Texts out of a file never steer a terminal."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.checkpoint import StateMismatchError, load_checkpoint
from eng.checkpoint._text import visible

STEER = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain ü", "plain ü"), ("\x1b[31m", "\\x1b[31m"), ("a\nb", "a\nb"), ("\x9b", "\\x9b"), ("\u202eabc", "\\u202eabc"), ("\r", "\\r")],
)  # fmt: skip
def test_control_characters_are_written_out(text, shown):
    assert visible(text) == shown


@pytest.fixture
def path(tmp_path):
    meta = {"epoch": 1, "iter": 1, "time": STEER, STEER: STEER, "nested": {STEER: [STEER]}}
    torch.save({"meta": meta, "state_dict": {f"w{STEER}": torch.ones(1)}, STEER: 1}, tmp_path / "epoch_1.pth")
    return tmp_path / "epoch_1.pth"


def test_errors_and_reports_hold_no_escape_sequences(path, caplog, capsys):
    with pytest.raises(StateMismatchError, match="owned") as caught:
        load_checkpoint(nn.Linear(1, 1), path, strict=True)
    load_checkpoint(nn.Linear(1, 1), path)
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
