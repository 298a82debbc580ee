"""Builds the oldest siblings that a package's ranges allow: ``build_oldest.py NAME FOLDER``.

Their wheels go into FOLDER, and their versions into ``FOLDER/NAME.txt``, which pip takes as constraints. The source of a version is
its tag ``eng-NAME-vVERSION``; without that tag, the commit that dated the version in CHANGELOG.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
RANGE = re.compile(r'"(eng(?:-\w+)?)(?:\[[^\]]*\])?>=([\d.]+),<[\d.]+"')
RELEASE = re.compile(r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", re.MULTILINE)


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


def as_numbers(version: str) -> tuple[int, ...]:
    return (*map(int, version.split(".")), 0, 0)[:3]


def folder_of(distribution: str) -> str:
    return f"packages/{distribution.removeprefix('eng-')}"


def revision_of(distribution: str, version: str) -> str:
    """The tag of a release, or the commit that dated it.

    Raises:
        SystemExit: the repository has neither.
    """
    tag = f"{distribution}-v{version}"
    if git("tag", "--list", tag):
        return tag
    changelog = f"{folder_of(distribution)}/CHANGELOG.md"
    commits = git("log", "--reverse", "--format=%H", f"-S## {version} (", "--", changelog).decode().split()
    if not commits:
        sys.exit(
            f"{distribution} {version} has no tag {tag}, and no commit of this checkout dates it in {changelog}: fetch the "
            "complete history (git fetch --unshallow --tags)"
        )
    return commits[0]


def oldest_release(distribution: str, low: str) -> str:
    """The oldest dated release of CHANGELOG.md that is not below a bound.

    Raises:
        SystemExit: there is none.
    """
    changelog = (ROOT / folder_of(distribution) / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = [version for version in RELEASE.findall(changelog) if as_numbers(version) >= as_numbers(low)]
    if not releases:
        sys.exit(f"{distribution}>={low} is allowed, and CHANGELOG.md of {distribution} dates no such release")
    return min(releases, key=as_numbers)


def lower_bounds(projects: list[str]) -> dict[str, str]:
    """The highest lower bound that any pyproject.toml sets for each sibling.

    Example:
        >>> lower_bounds(['"eng-dist>=1.9,<2"', '"eng-dist[all]>=1.10,<2"'])
        {'eng-dist': '1.10'}
    """
    ranges = sorted({match for text in projects for match in RANGE.findall(text)}, key=lambda item: as_numbers(item[1]))
    return dict(sorted(dict(ranges).items()))


def oldest_siblings(name: str) -> dict[str, str]:
    """The oldest release of each sibling with which today's package and the other siblings can be installed."""
    today = (ROOT / "packages" / name / "pyproject.toml").read_text(encoding="utf-8")
    versions: dict[str, str] = {}
    while True:
        projects = [
            git("show", f"{revision_of(distribution, version)}:{folder_of(distribution)}/pyproject.toml").decode()
            for distribution, version in versions.items()
        ]
        bounds = lower_bounds([today, *projects])
        chosen = dict(versions)  # versions only rise, so that this ends
        for distribution, low in bounds.items():
            candidates = (oldest_release(distribution, low), versions.get(distribution, "0"))
            chosen[distribution] = max(candidates, key=as_numbers)
        if chosen == versions:
            return versions
        versions = chosen


def build(distribution: str, version: str, folder: Path) -> None:
    """Builds the wheel of a release, unless it is in the folder."""
    if list(folder.glob(f"{distribution.replace('-', '_')}-{version}-*.whl")):
        return
    with tempfile.TemporaryDirectory() as scratch:
        archive = git("archive", revision_of(distribution, version), folder_of(distribution))
        subprocess.run(["tar", "-x", "-C", scratch], input=archive, check=True)
        source = Path(scratch, folder_of(distribution))
        command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", str(folder), str(source)]
        subprocess.run(command, check=True)


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    versions = oldest_siblings(name)
    for distribution, version in versions.items():
        build(distribution, version, folder)
    folder.mkdir(parents=True, exist_ok=True)
    pins = "".join(f"{distribution}=={version}\n" for distribution, version in versions.items())
    (folder / f"{name}.txt").write_text(pins, encoding="utf-8")


if __name__ == "__main__":
    main()
