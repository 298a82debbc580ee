from __future__ import annotations

import torch
from click.testing import CliRunner
from text_parts import STEER

from eng.checkpoint._commands import ckpt


def test_commands_print_no_escape_sequences(checkpoint_with_escapes):
    other = checkpoint_with_escapes.with_name("other.pth")
    torch.save({"state_dict": {f"v{STEER}": torch.ones(1)}}, other)
    commands = [
        ["show", checkpoint_with_escapes], ["show", checkpoint_with_escapes, "--weights"], ["show", checkpoint_with_escapes, "--json"], ["ls", checkpoint_with_escapes.parent], ["verify", checkpoint_with_escapes],
        ["ls", checkpoint_with_escapes.parent, "--json"], ["diff", checkpoint_with_escapes, other], ["publish", checkpoint_with_escapes, "--keys", "nothing"],
    ]  # fmt: skip
    for command in commands:
        result = CliRunner().invoke(ckpt, [str(part) for part in command])
        texts = result.output + str(result.exception or "")
        assert not set(texts) & set("\x1b\x07\x9b\u202e"), command
