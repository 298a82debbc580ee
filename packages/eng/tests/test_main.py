from __future__ import annotations

import sys
from types import ModuleType

import click
import pytest
from command_parts import failing

from eng.cli import Services, main


@click.command()
@click.option("--cfg-options", multiple=True)
@click.argument("words", nargs=-1)
def echo(words: tuple[str, ...], cfg_options: tuple[str, ...]) -> None:
    """Say it again."""
    click.echo(f"{words} {cfg_options}")


class OursError(ValueError):
    __module__ = "eng.config.errors"


@pytest.mark.parametrize(
    ("status", "make"),
    [
        (0, lambda ctx: None),
        (1, lambda ctx: ctx.exit(1)),
        (1, lambda ctx: 1),
        (0, lambda ctx: "a value that is no status"),
    ],
    ids=["nothing", "exit", "returned", "other-value"],
)
def test_exit_status_of_a_command(commands, status: int, make) -> None:
    commands(do=click.Command("do", callback=click.pass_context(make)))
    assert main(["do"]) == status


def test_error_of_the_code_of_a_config_is_the_users(commands, capsys) -> None:
    error = ZeroDivisionError("division by zero")
    error.config_place = "a.py:3"
    commands(fail=failing(error))
    assert main(["fail"]) == 2
    assert "eng: error: a.py:3: ZeroDivisionError: division by zero\n" in capsys.readouterr().err


def test_a_group_without_a_command_shows_its_help(commands, capsys) -> None:
    commands(config__echo=echo)
    for words in ([], ["config"]):
        main(words)
        written = capsys.readouterr()
        assert (written.out + written.err).startswith("Usage: eng")


@pytest.mark.parametrize("words", [["--traceback", "fail"], ["fail", "--traceback"]], ids=["before", "behind"])
def test_traceback_on_request_wherever_it_stands(commands, words: list[str]) -> None:
    commands(fail=failing(OursError("x")))
    with pytest.raises(OursError, match="x"):
        main(words)


def test_ctrl_c_is_130(commands, capsys) -> None:
    commands(fail=failing(KeyboardInterrupt()))
    assert main(["fail"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_key_error_reads_as_a_sentence(commands, capsys) -> None:
    class OursKeyError(KeyError):
        __module__ = "eng.registry.errors"

        def __str__(self) -> str:
            return str(self.args[0])

    commands(fail=failing(OursKeyError("no model is called 'x'")))
    assert main(["fail"]) == 2
    assert "eng: error: no model is called 'x'\n" in capsys.readouterr().err


def test_cfg_options_takes_several_settings(commands, capsys) -> None:
    commands(echo=echo)
    assert main(["echo", "--cfg-options", "a=1", "b.c=[1,2]", "file.py"]) == 0
    assert capsys.readouterr().out == "('file.py',) ('a=1', 'b.c=[1,2]')\n"


def test_commands_get_the_services(commands, capsys) -> None:
    commands(see=click.Command("see", callback=click.pass_obj(lambda obj: click.echo(type(obj).__name__))))
    assert main(["see"]) == 0
    assert capsys.readouterr().out.strip() == Services.__name__


def test_unknown_command_names_the_near_ones(commands, capsys) -> None:
    commands(train=echo, test=echo)
    assert main(["trian"]) == 2
    assert "no command 'trian'; did you mean train" in capsys.readouterr().err
    assert main(["xyz"]) == 2
    assert "there are: test, train" in capsys.readouterr().err


def test_version_and_help(commands, capsys) -> None:
    commands(echo=echo)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("eng, version 1.")
    assert main(["--help"]) == 0
    assert "Say it again." in capsys.readouterr().out


def test_compat_is_installed_before_the_commands_are_found(commands, monkeypatch, capsys) -> None:
    commands(echo=echo)
    calls: list = []
    room = ModuleType("eng.compat")
    room.install = lambda: calls.append("installed")
    import eng

    monkeypatch.setitem(sys.modules, "eng.compat", room)
    monkeypatch.setattr(eng, "compat", room, raising=False)
    assert main(["echo"]) == 0
    assert calls == []
    monkeypatch.setenv("ENG_COMPAT", "1")
    assert main(["echo"]) == 0
    assert calls == ["installed"]


def test_compat_that_is_not_installed_is_named(commands, monkeypatch, capsys) -> None:
    commands(echo=echo)
    import eng

    monkeypatch.setitem(sys.modules, "eng.compat", None)
    monkeypatch.delattr(eng, "compat", raising=False)
    monkeypatch.setenv("ENG_COMPAT", "1")
    assert main(["echo"]) == 2
    assert "pip install --find-links dist eng-compat" in capsys.readouterr().err
