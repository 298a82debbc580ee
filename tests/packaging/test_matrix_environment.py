"""scripts/nox_tests.py: which torch `nox -s matrix` installs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nox", reason="the session that runs these tests installs it")

SCRIPTS = Path(__file__).parents[2] / "scripts"


class Session:
    """A session that notes its calls; like nox's, it raises at an error."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def run(self, *call: str, external: bool) -> None:
        self.calls.append(call)

    def error(self, text: str) -> None:
        raise RuntimeError(text)


@pytest.fixture
def torch_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What pip is asked for, as torch is installed."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    nox_tests = importlib.import_module("nox_tests")
    environments = importlib.import_module("nox_environments")
    monkeypatch.setattr(environments.shutil, "which", lambda name: None)  # no GPU on this machine
    for name in ("ENG_TORCH_INDEX", "ENG_TORCH_NIGHTLY_INDEX"):
        monkeypatch.delenv(name, raising=False)

    def ask(version: str) -> tuple[str, ...]:
        session, folder = Session(), tmp_path / version
        folder.mkdir(exist_ok=True)
        nox_tests._prepare_matrix_environment(session, "python3.10", folder, version)
        create, torch, others = session.calls
        assert create == ("python3.10", "-m", "venv", "--clear", str(folder))
        assert "-e" in others
        assert (folder / "ready").exists()
        return torch[torch.index("-q") + 1 :]

    return ask


def test_a_release_comes_from_the_index_of_pip(torch_arguments: Any) -> None:
    assert torch_arguments("2.6.0") == ("torch==2.6.0",)


def test_a_release_without_cuda_comes_from_the_named_index(
    torch_arguments: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENG_TORCH_INDEX", "file:///cpu")
    assert torch_arguments("2.6.0") == ("--index-url", "file:///cpu", "torch==2.6.0")


def test_a_nightly_build_comes_from_its_index_only(torch_arguments: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="PyPI has no nightly builds of torch: set ENG_TORCH_NIGHTLY_INDEX"):
        torch_arguments("nightly")
    monkeypatch.setenv("ENG_TORCH_NIGHTLY_INDEX", "file:///nightly")
    assert torch_arguments("nightly") == ("--pre", "--index-url", "file:///nightly", "torch")
