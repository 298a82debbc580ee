"""What `nox -s build` made: the wheels' contents, and clean environments installed from them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DIST = Path(os.environ.get("ENG_DIST", "no-dist"))
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import page_blocks

PAGES_WITH_COMMANDS = [page for page in page_blocks.pages() if page_blocks.shell_commands(page)]
pytestmark = pytest.mark.skipif(not DIST.is_dir(), reason="nox -s build makes dist/ and runs these tests")
IMPORT_NAMES = [
    "config", "registry", "fileio", "structures", "dist", "device", "analysis", "runner", "hooks", "optim", "model",
    "dataset", "evaluator", "logging", "visualization", "infer", "hub", "testing", "checkpoint", "tune", "compat", "cli",
]  # fmt: skip


class Environment:
    """A clean virtual environment that installs from dist/."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.folder = folder

    def pip(self, *args: str) -> None:
        done = self.run("python", "-m", "pip", "-q", "--disable-pip-version-check", *args)
        assert done.returncode == 0, done.stderr[-3000:]

    def install(self, *args: str) -> None:
        self.pip("install", "--find-links", str(DIST), "-c", str(ROOT / "constraints.txt"), *args)

    def run(self, program: str, *args: str) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return subprocess.run(
            [str(self.bin / program), *args], capture_output=True, text=True, cwd=self.folder, env=clean, check=False
        )

    def imports(self, *names: str) -> str:
        """What fails to import, one line a name; empty where all import."""
        script = (
            "import importlib, sys\n"
            "for name in sys.argv[1:]:\n"
            "    try: importlib.import_module('eng.' + name)\n"
            "    except Exception as error: print(name, repr(error))\n"
        )
        done = self.run("python", "-c", script, *names)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()


def test_each_package_has_a_wheel_and_an_sdist() -> None:
    packages = len([path for path in (ROOT / "packages").iterdir() if path.is_dir()])
    assert len(list(DIST.glob("*.whl"))) == len(list(DIST.glob("*.tar.gz"))) == packages


@pytest.mark.parametrize("wheel", sorted(DIST.glob("*.whl")), ids=lambda path: path.name.split("-")[0])
def test_wheel_leaves_the_namespace_open_and_carries_its_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "eng/__init__.py" not in names
    assert "eng/py.typed" not in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.startswith("eng/") and name.endswith("py.typed") for name in names)


def test_wheel_of_the_command_carries_the_pages() -> None:
    """`eng help` prints them offline; API pages hold directives for the site's builder only."""
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")}
    names = zipfile.ZipFile(next(DIST.glob("eng-*.whl"))).namelist()
    packed = {name.removeprefix("eng/cli/pages/") for name in names if name.startswith("eng/cli/pages/")}
    assert packed == {page for page in pages if not page.startswith("api/")}


@pytest.mark.timeout(300)
def test_eng_config_alone_brings_no_torch(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    environment.install("eng-config")
    assert environment.imports("config") == ""
    assert environment.run("python", "-c", "import torch").returncode != 0
    done = environment.run("python", "-c", "from eng.config import Config; print(Config(dict(a=1)).a)")
    assert done.stdout.strip() == "1", done.stderr


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Everything from the wheels, and what the pages tell a reader to install."""
    folder = tmp_path_factory.mktemp("complete") / "env"
    environment = Environment(folder)
    environment.install("torch")  # before anything that depends on it: otherwise pip brings gigabytes of CUDA
    environment.install("eng[all]", "scikit-learn")
    yield environment
    shutil.rmtree(folder)  # two gigabytes


@pytest.mark.timeout(900)
def test_everything_installs_and_comes_apart(complete: Environment) -> None:
    assert complete.imports(*IMPORT_NAMES) == ""
    done = complete.run("eng", "--version")
    assert done.returncode == 0, done.stderr
    complete.pip("uninstall", "-y", "eng-structures")
    assert complete.imports("config", "registry", "fileio", "dist", "analysis") == ""
    assert "structures" in complete.imports("structures")
    complete.install("--no-deps", "eng-structures")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_with_shell_blocks_runs_on_the_wheels(
    page: Path, complete: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    assert page_blocks.run_page(page, tmp_path, str(complete.bin)) > 0


@pytest.mark.timeout(900)
def test_help_prints_pages_of_the_wheel(complete: Environment) -> None:
    error = complete.run("eng", "help", "BrokenCheckpointError")
    assert error.stdout.startswith("BrokenCheckpointError\n\nWhat happened: "), error.stderr
    page = complete.run("eng", "help", "early", "stopping")
    assert page.stdout.startswith("# Stop early\n"), page.stderr
