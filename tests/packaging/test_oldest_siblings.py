"""scripts/build_oldest.py: which releases of its siblings a package is tested with."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="the releases are in the history of git")
NOBODY = {f"GIT_{role}_{field}": "nobody@localhost" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}


def write(package: Path, version: str, date: str, *ranges: str) -> None:
    """A package with one more release in its changelog."""
    package.mkdir(parents=True, exist_ok=True)
    changelog = package / "CHANGELOG.md"
    earlier = changelog.read_text() if changelog.exists() else ""
    changelog.write_text(f"## {version}{date}\n\n- A change.\n\n{earlier}")
    (package / "pyproject.toml").write_text(f"dependencies = [{', '.join(map(repr, ranges))}]\n".replace("'", '"'))
    (package / "source.py").write_text(version)


@pytest.fixture
def build_oldest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The script in a repository: `runner` needs `dist` and `config`, and `dist` of 1.2 needs a newer `config`."""
    packages = tmp_path / "packages"
    git("init", "-q", folder=tmp_path)
    write(packages / "config", "1.0.0", "")
    write(packages / "dist", "1.0.0", "")
    commit(tmp_path)
    for version in ("1.1.0", "1.3.0"):
        write(packages / "config", version, " (2030-01-02)")
        commit(tmp_path)
    write(packages / "dist", "1.2.0", " (2030-01-03)", "eng-config>=1.2,<2")
    commit(tmp_path)
    write(packages / "dist", "1.10.0", " (2030-01-04)", "eng-config>=1.3,<2")
    write(packages / "runner", "1.0.0", "", "eng-dist[all]>=1.0,<2", "eng-config>=1.0,<2")
    commit(tmp_path)
    monkeypatch.syspath_prepend(str(SCRIPTS))
    module = importlib.import_module("build_oldest")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def git(*arguments: str, folder: Path) -> str:
    call = ["git", "-c", "commit.gpgsign=false", *arguments]
    environment = {**os.environ, **NOBODY}
    return subprocess.run(
        call, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=60
    ).stdout


def commit(folder: Path) -> None:
    git("add", ".", folder=folder)
    git("commit", "-q", "-m", "change", folder=folder)


def source_at(folder: Path, revision: str, package: str) -> str:
    return git("show", f"{revision}:packages/{package}/source.py", folder=folder)


def test_the_oldest_releases_fit_together(build_oldest: Any) -> None:
    # config 1.1.0 is the oldest that runner allows, and dist 1.2.0 needs 1.2, for which 1.3.0 is the oldest release.
    assert build_oldest.oldest_siblings("runner") == {"eng-config": "1.3.0", "eng-dist": "1.2.0"}
    assert build_oldest.oldest_siblings("config") == {}


def test_the_source_of_a_release_is_that_of_the_day_it_was_dated(build_oldest: Any, tmp_path: Path) -> None:
    revision = build_oldest.revision_of("eng-config", "1.1.0")
    assert source_at(tmp_path, revision, "config") == "1.1.0"
    assert "1.3.0" not in git("show", f"{revision}:packages/config/CHANGELOG.md", folder=tmp_path)


def test_a_tag_goes_before_the_changelog(build_oldest: Any, tmp_path: Path) -> None:
    git("tag", "eng-config-v1.1.0", folder=tmp_path)
    assert build_oldest.revision_of("eng-config", "1.1.0") == "eng-config-v1.1.0"


def test_a_range_without_a_release_is_refused(build_oldest: Any) -> None:
    with pytest.raises(SystemExit, match=r"eng-config>=1\.4 is allowed, and CHANGELOG\.md of eng-config dates no such"):
        build_oldest.oldest_release("eng-config", "1.4")


def test_a_checkout_without_the_history_is_refused(build_oldest: Any, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / ".git")
    git("init", "-q", folder=tmp_path)
    (tmp_path / "empty").touch()
    git("add", "empty", folder=tmp_path)
    git("commit", "-q", "-m", "change", folder=tmp_path)
    with pytest.raises(SystemExit, match=r"eng-config 1\.1\.0 has no tag eng-config-v1\.1\.0, and no commit of this"):
        build_oldest.revision_of("eng-config", "1.1.0")
