from __future__ import annotations

import sys
from types import ModuleType

import click
import pytest
from command_parts import failing

from eng.cli import main


def raised_by_eng() -> click.Command:
    """An error of a plain built-in type, raised by a module of eng itself."""
    module = ModuleType("eng.somewhere")
    exec("def fail():\n    raise TypeError('depth must be an int')", module.__dict__)
    return click.Command("fail", callback=module.fail)


class OursError(ValueError):
    __module__ = "eng.config.errors"


def of_custom_imports() -> ImportError:
    error = ImportError("Failed to import custom module 'mynet'")
    error.__cause__ = ModuleNotFoundError("No module named 'mmengine'", name="mmengine")
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (of_custom_imports(), "ENG_COMPAT=1 in front of the command"),
        (OursError("a.py:3 lr: no such key"), "a.py:3 lr: no such key"),
        (FileNotFoundError(2, "No such file or directory", "a.py"), "No such file or directory: 'a.py'"),
        (ModuleNotFoundError("No module named 'wandb'"), "No module named 'wandb'"),
        (
            ModuleNotFoundError("No module named 'mmengine.x'", name="mmengine.x"),
            "ENG_COMPAT=1 in front of the command",
        ),
        (click.ClickException("not like this"), "not like this"),
        (click.UsageError("not like that"), "not like that"),
        (SyntaxError("invalid syntax", ("a.py", 3, 5, "a = = 1\n", 3, 6)), 'File "a.py", line 3'),
    ],
    ids=["custom imports", "ours", "file", "import", "mmengine", "click", "usage", "syntax"],
)
def test_a_mistake_of_the_user_is_one_message_and_status_2(commands, capsys, error: Exception, words: str) -> None:
    commands(fail=failing(error))
    assert main(["fail"]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("eng: error: ")
    assert words in written.err
    assert "Traceback" not in written.err


def test_built_in_error_raised_by_eng_is_the_users(commands, capsys) -> None:
    commands(fail=raised_by_eng())
    assert main(["fail"]) == 2
    assert "depth must be an int" in capsys.readouterr().err


def test_defect_elsewhere_keeps_its_traceback(commands) -> None:
    commands(fail=failing(TypeError("a bug of a library")))
    with pytest.raises(TypeError, match="a bug of a library"):
        main(["fail"])


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_the_page_of_help_is_named_once(commands, capsys) -> None:
    error = OursError("no such key")
    error.add_note("of a run")
    error.add_note("eng help OursError says what to do")
    commands(fail=failing(error))
    assert main(["fail"]) == 2
    printed = capsys.readouterr().err
    assert "no such key\nof a run\n(" in printed
    assert "says what to do" not in printed
