from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner

from eng.checkpoint._commands import ckpt

STEER = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"


@pytest.fixture
def path(tmp_path):
    meta = {"epoch": 1, "iter": 1, "time": STEER, STEER: STEER, "nested": {STEER: [STEER]}}
    torch.save({"meta": meta, "state_dict": {f"w{STEER}": torch.ones(1)}, STEER: 1}, tmp_path / "epoch_1.pth")
    return tmp_path / "epoch_1.pth"


def test_commands_print_no_escape_sequences(path):
    other = path.with_name("other.pth")
    torch.save({"state_dict": {f"v{STEER}": torch.ones(1)}}, other)
    commands = [
        ["show", path], ["show", path, "--weights"], ["show", path, "--json"], ["ls", path.parent], ["verify", path],
        ["ls", path.parent, "--json"], ["diff", path, other], ["publish", path, "--keys", "nothing"],
    ]  # fmt: skip
    for command in commands:
        result = CliRunner().invoke(ckpt, [str(part) for part in command])
        texts = result.output + str(result.exception or "")
        assert not set(texts) & set("\x1b\x07\x9b\u202e"), command
