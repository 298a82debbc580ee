"""The command with every package installed: what users type first."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
DIGITS = "examples/digits/config.py"
COMMANDS = sorted(entry_points(group="eng.commands"), key=lambda each: each.name)


def eng(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eng.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


@pytest.mark.parametrize("entry", COMMANDS, ids=lambda entry: entry.name)
def test_every_entry_point_is_a_documented_command(entry) -> None:
    command = entry.load()
    assert isinstance(command, click.Command)
    assert command.get_short_help_str()


@pytest.mark.parametrize("name", [entry.name for entry in COMMANDS if "." not in entry.name])
def test_help_of_every_command_fits_a_screen(name: str, capsys) -> None:
    from eng.cli import main

    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(f"Usage: eng {name}")
    assert len(shown) <= 60
    assert not [line for line in shown[1:] if line.endswith("...")]  # no text is cut


def test_example_is_proven() -> None:
    done = eng("config", "check", DIGITS)
    assert (done.returncode, done.stdout) == (0, f"{DIGITS}: no findings\n"), done.stderr


def test_all_mistakes_are_shown_at_once() -> None:
    changes = [
        "optim_wraper.x=1",
        "model.widht=3",
        "train_cfg.max_epochs=many",
        "default_hooks.timer.type=IterTimerHok",
    ]
    done = eng("config", "check", DIGITS, "--json", "--cfg-options", *changes)
    assert done.returncode == 1, done.stderr
    found = {each["path"]: each for each in json.loads(done.stdout)}
    assert set(found) == {"optim_wraper", "model.widht", "train_cfg.max_epochs", "default_hooks.timer.type"}
    assert "IterTimerHook" in found["default_hooks.timer.type"]["message"]
    assert {each["where"] for each in found.values()} == {"command line"}


def test_check_from_another_directory_finds_the_parts_beside_the_config(tmp_path: Path) -> None:
    done = eng("config", "check", str(ROOT / DIGITS), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words", [("config", "check", "nope.py"), ("config", "check", "tests"), ("nonsense",)], ids=str
)
def test_mistakes_in_the_call_are_status_2(words: tuple[str, ...]) -> None:
    done = eng(*words)
    assert done.returncode == 2
    assert done.stderr.startswith("eng: error: ")
    assert "Traceback" not in done.stderr
