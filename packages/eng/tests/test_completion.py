from __future__ import annotations

import pytest

from eng.cli import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str, capsys) -> None:
    assert main(["completion", shell]) == 0
    assert "_ENG_COMPLETE" in capsys.readouterr().out


def test_completion_of_another_shell(capsys) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "is not one of" in capsys.readouterr().err
