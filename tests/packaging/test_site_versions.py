"""scripts/site_versions.py: which versions the site has, and what it says about a site that lacks something."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("site_versions")


@pytest.fixture
def site(script: Any, tmp_path: Path) -> Path:
    """A site as mike builds it, with the versions `main` and 1.1."""
    aliases = [
        {"version": "main", "title": "main", "aliases": []},
        {"version": "1.1", "title": "1.1", "aliases": ["latest"]},
    ]
    (tmp_path / "versions.json").write_text(json.dumps(aliases), encoding="utf-8")
    (tmp_path / "index.html").write_text('<meta http-equiv="refresh" content="1; url=latest/">', encoding="utf-8")
    for page in (f"{version}/{page}" for version in ("main", "1.1") for page in script.PAGES):
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).touch()
    return tmp_path


def test_each_minor_version_is_built_from_its_newest_patch(script: Any) -> None:
    tags = ["eng-v1.10.0", "eng-v1.9.2", "eng-v1.9.10", "eng-config-v3.0.0", "eng-v2.0.0rc1", "v4.0.0"]
    assert list(script.released_versions(tags).items()) == [("1.9", "eng-v1.9.10"), ("1.10", "eng-v1.10.0")]


def test_a_complete_site_passes(script: Any, site: Path) -> None:
    assert script.problems(site, ["main", "1.1"]) == []


def test_a_missing_page_is_named(script: Any, site: Path) -> None:
    (site / "1.1/zh/index.html").unlink()
    assert script.problems(site, ["main", "1.1"]) == ["1.1/zh/index.html is missing"]


def test_an_alias_at_an_older_version_is_named(script: Any, site: Path) -> None:
    (message,) = script.problems(site, ["1.1", "main"])
    assert message.startswith("versions.json has {'main': [], '1.1': ['latest']}, expected")


def test_a_root_that_leads_nowhere_is_named(script: Any, site: Path) -> None:
    (site / "index.html").write_text("", encoding="utf-8")
    assert script.problems(site, ["main", "1.1"]) == ["index.html does not lead to the newest version"]
