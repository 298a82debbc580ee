"""Changelogs: dated releases, fragments for the next one, and siblings that fit together."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
KINDS = {"breaking", "deprecated", "added", "changed", "fixed"}
RELEASE = re.compile(r"^## (\d+\.\d+\.\d+)(?: \((\d{4}-\d\d-\d\d)\))?$", re.MULTILINE)


def version_of(package: Path) -> tuple[int, ...]:
    (file,) = package.glob("src/eng/*/_version.py")
    match = re.search(r'"(.+)"', file.read_text(encoding="utf-8"))
    assert match is not None
    return tuple(map(int, match[1].split(".")))


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_newest_release_is_dated_and_that_of_the_source(package: Path) -> None:
    text = (package / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = [(as_numbers(version), day) for version, day in RELEASE.findall(text)]
    assert releases[0][0] == version_of(package)
    assert dt.date.fromisoformat(releases[0][1]) <= dt.datetime.now(dt.timezone.utc).date() + dt.timedelta(days=1)
    versions = [version for version, _ in releases]
    assert versions == sorted(versions, reverse=True)
    assert text.count("<!-- releases -->\n") == 1  # where towncrier puts the next one


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_fragments_are_of_a_kind_and_one_paragraph(package: Path) -> None:
    for path in (package / "changes").glob("*.md"):
        assert path.suffixes[-2].removeprefix(".") in KINDS, path
        assert "\n\n" not in path.read_text(encoding="utf-8").strip(), path


def test_the_ranges_of_siblings_hold_their_versions_of_today() -> None:
    versions = {("eng" if path.name == "eng" else f"eng-{path.name}"): version_of(path) for path in PACKAGES}
    ranges = [
        (package.name, *match)
        for package in PACKAGES
        for match in re.findall(
            r'"(eng(?:-\w+)?)(?:\[[^\]]*\])?>=([\d.]+),<([\d.]+)"',
            (package / "pyproject.toml").read_text(encoding="utf-8"),
        )
    ]
    assert len(ranges) > 20
    misfits = [
        (owner, sibling, low, high)
        for owner, sibling, low, high in ranges
        if not as_numbers(low) <= versions[sibling] < as_numbers(high)
    ]
    assert misfits == []


def test_the_citation_names_the_newest_release_of_the_front_door() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "packages/eng/CHANGELOG.md").read_text(encoding="utf-8")
    version, day = RELEASE.findall(changelog)[0]
    assert re.findall(r'^(?:version|date-released): "?([\d.-]+)"?$', citation, re.MULTILINE) == [version, day]
