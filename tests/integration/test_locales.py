"""Runs in locales that are not UTF-8, in folders with spaces and letters of several scripts, and with spawned workers.

Real processes, as a locale is chosen when Python starts. Windows itself is tested by `.github/workflows/ci.yml`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOCALES = {
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "utf-8 mode": {"LC_ALL": "C", "PYTHONUTF8": "1"},
}
FOLDER = "my dir ünï 実験"  # the ASCII locale has none of these letters: Python holds their bytes as surrogates


def eng(folder: Path, *arguments: str, locale: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Runs `eng` in `folder`; Python warns of each file that is opened in the encoding of the locale."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    environment = {**inherited, **locale, "PYTHONWARNDEFAULTENCODING": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "eng.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=150)


@pytest.fixture(scope="module", params=LOCALES, ids=LOCALES)
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str], bytes]:
    """A project made and trained for one epoch, in a folder with spaces and letters that ASCII lacks."""
    locale = LOCALES[request.param]
    folder = tmp_path_factory.mktemp("locale") / FOLDER
    folder.mkdir()
    created = eng(folder, "init", "shapes", locale=locale)
    assert created.returncode == 0, created.stderr.decode(errors="replace")
    options = ["train_cfg.max_epochs=1", "train_dataloader.num_workers=2", "env_cfg.mp_cfg.mp_start_method=spawn"]
    process = eng(folder / "shapes", "train", "config.py", "--cfg-options", *options, locale=locale)
    assert process.returncode == 0, process.stderr.decode(errors="replace")[-3000:]
    return folder / "shapes", locale, process.stdout + process.stderr


def test_the_run_leaves_its_checkpoint(trained: tuple[Path, dict[str, str], bytes]) -> None:
    project, _, _ = trained
    assert list(project.glob("work_dirs/*/epoch_1.pth"))


def test_no_encoding_is_left_to_the_locale(trained: tuple[Path, dict[str, str], bytes]) -> None:
    output = trained[2].decode(errors="replace")
    complaints = [line for line in output.splitlines() if "EncodingWarning" in line]
    assert not [line for line in complaints if f"{os.sep}eng{os.sep}" in line]


def test_the_run_resumes(trained: tuple[Path, dict[str, str], bytes]) -> None:
    project, locale, _ = trained
    options = ["train_cfg.max_epochs=2"]
    process = eng(project, "train", "config.py", "--resume", "--cfg-options", *options, locale=locale)
    output = (process.stdout + process.stderr).decode(errors="replace")
    assert process.returncode == 0, output[-3000:]
    assert "epoch_1.pth is skipped" not in output
    assert list(project.glob("work_dirs/*/epoch_2.pth"))
    newest = (project / "work_dirs/shapes/last_checkpoint").read_text(encoding="utf-8")
    assert newest == str(project / "work_dirs/shapes/epoch_2.pth")


@pytest.mark.parametrize(
    "arguments",
    [("ckpt", "verify", "work_dirs/shapes/epoch_1.pth"), ("runs",)],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_commands_read_the_run(trained: tuple[Path, dict[str, str], bytes], arguments: tuple[str, ...]) -> None:
    project, locale, _ = trained
    process = eng(project, *arguments, locale=locale)
    assert process.returncode == 0, process.stderr.decode(errors="replace")[-3000:]


@pytest.mark.parametrize("locale", LOCALES.values(), ids=LOCALES)
def test_a_config_with_letters_of_several_scripts_is_read_and_dumped(tmp_path: Path, locale: dict[str, str]) -> None:
    folder = tmp_path / "données 数据"
    folder.mkdir()
    (folder / "config.py").write_text("name = 'Zürich 実験'\nclasses = ['猫', 'собака']\n", encoding="utf-8")
    process = eng(folder, "config", "show", "config.py", locale=locale)
    assert process.returncode == 0, process.stderr.decode(errors="replace")
    if locale["PYTHONUTF8"] == "1":
        assert "Zürich 実験" in process.stdout.decode()
