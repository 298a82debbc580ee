from __future__ import annotations

import click
import pytest

from eng.cli import main


def saying(words: str) -> click.Command:
    return click.Command(words, callback=lambda: click.echo(words), help=f"Say {words}.")


def test_dotted_name_nests(commands, capsys) -> None:
    commands(a__b__c=saying("deep"))
    assert main(["a", "b", "c"]) == 0
    assert capsys.readouterr().out == "deep\n"


def test_dotted_name_joins_a_group_of_another_package(commands, capsys) -> None:
    group = click.Group("config", help="Look at configs.")
    group.add_command(saying("show"))
    commands(config=group, config__check=saying("check"))
    for word in ("show", "check"):
        assert main(["config", word]) == 0
        assert capsys.readouterr().out == f"{word}\n"
    assert main(["config", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Look at configs." in shown
    assert "Say show." in shown
    assert "Say check." in shown


def test_broken_command_does_not_take_its_neighbours_down(commands, capsys) -> None:
    commands(good=saying("good"), bad="no_such_module_anywhere:command")
    assert main(["good"]) == 0
    assert main(["--help"]) == 0
    assert "Cannot be loaded: No module named 'no_such_module_anywhere'" in capsys.readouterr().out
    assert main(["bad", "--any", "words"]) == 2
    assert "the command 'bad' of an unknown distribution cannot be loaded" in capsys.readouterr().err


def test_command_is_imported_only_when_it_runs(commands) -> None:
    commands(good=saying("good"), heavy="antigravity_of_no_release:command")
    assert main(["good"]) == 0


def test_completion_knows_the_commands(commands, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    commands(train=saying("train"), test=saying("test"), flops=saying("flops"))
    monkeypatch.setenv("_ENG_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "eng t")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.split() == ["plain,test", "plain,train"]


@pytest.mark.parametrize(
    ("name", "package"), [("tune", "eng-tune"), ("sweep", "eng-tune"), ("train", "eng-runner[cli]")]
)
def test_command_of_a_package_that_is_not_installed_names_the_package(
    commands, capsys, name: str, package: str
) -> None:
    commands(config=saying("config"))
    assert main([name, "x.py"]) == 2
    assert f"the command {name!r} is in a package of its own: pip install '{package}'" in capsys.readouterr().err


def test_commands_of_all_packages_are_known() -> None:
    from pathlib import Path

    from eng.cli._commands import ELSEWHERE

    tomllib = pytest.importorskip("tomllib")
    known = {f"{package.partition('[')[0]} {name}" for package, names in ELSEWHERE.items() for name in names}
    packages = Path(__file__).parents[2]
    declared = set()
    for name in ("analysis", "runner", "tune"):
        project = tomllib.loads((packages / name / "pyproject.toml").read_text())["project"]
        declared |= {f"eng-{name} {command}" for command in project["entry-points"]["eng.commands"]}
    assert declared == known
