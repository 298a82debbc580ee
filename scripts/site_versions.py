"""Builds the documentation of all versions into site/; the workflow ``docs.yml`` publishes this folder.

The version ``main`` is built from the commit that is checked out, the version ``1.4`` from the newest tag
``eng-v1.4.*``. The start page redirects to the newest release, or to ``main`` if there is no release yet.
``site_versions.py --try`` builds the commit as two versions in a scratch folder. Both ways check the built site.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BRANCH = "built-site"
MAIN = "main"
PAGES = ("index.html", "zh/index.html", "start/fifteen-minutes/index.html", "search/search_index.json")


def output(*call: str, cwd: Path) -> str:
    """What a command prints; its failure ends the script.

    Raises:
        SystemExit: the command failed.
    """
    done = subprocess.run(call, cwd=cwd, check=False, capture_output=True, encoding="utf-8", timeout=900)
    if done.returncode != 0:
        sys.exit(f"{' '.join(call)} ended with exit status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def released_versions(tags: list[str]) -> dict[str, str]:
    """The tag of the newest patch of each minor version of the package eng, the oldest version first.

    Example:
        >>> released_versions(["eng-v1.9.0", "eng-v1.10.1", "eng-v1.10.0", "eng-config-v2.0.0"])
        {'1.9': 'eng-v1.9.0', '1.10': 'eng-v1.10.1'}
    """
    matches = [match for tag in tags if (match := re.fullmatch(r"eng-v(\d+)\.(\d+)\.(\d+)", tag))]
    ordered = sorted(matches, key=lambda match: tuple(map(int, match.groups())))
    return {f"{match[1]}.{match[2]}": match[0] for match in ordered}


def build(clone: Path, versions: dict[str, str]) -> None:
    """Builds the site of each revision into a branch of the clone; its start page redirects to the last version.

    Args:
        clone: a clone of this repository that may be changed.
        versions: a revision for each version.
    """
    for key, value in {"user.name": "eng", "user.email": "eng@localhost"}.items():
        output("git", "config", key, value, cwd=clone)
    mike = str(Path(sys.executable).with_name("mike"))
    for version, revision in versions.items():
        output("git", "checkout", "-q", "--detach", revision, cwd=clone)
        output(mike, "deploy", "--branch", BRANCH, "--update-aliases", version, "latest", cwd=clone)
    output(mike, "set-default", "--branch", BRANCH, "latest", cwd=clone)


def problems(site: Path, versions: list[str]) -> list[str]:
    """The mistakes in a built site, one line each: a wrong list of versions, missing pages, a wrong start page."""
    listed = {entry["version"]: entry["aliases"] for entry in json.loads((site / "versions.json").read_text("utf-8"))}
    expected = {version: ["latest"] if version == versions[-1] else [] for version in versions}
    messages = [] if listed == expected else [f"versions.json has {listed}, expected {expected}"]
    messages += [
        f"{version}/{page} is missing" for version in versions for page in PAGES if not (site / version / page).exists()
    ]
    if "latest/" not in (site / "index.html").read_text(encoding="utf-8"):
        messages.append("index.html does not lead to the newest version")
    return messages


def main() -> int:
    trial = "--try" in sys.argv
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch, "clone")
        output("git", "clone", "-q", str(ROOT), str(clone), cwd=ROOT)
        tags = output("git", "tag", "--list", "eng-v*", cwd=ROOT).split()
        versions = {"1.0": "HEAD", "1.1": "HEAD"} if trial else {MAIN: "HEAD", **released_versions(tags)}
        revisions = {
            version: output("git", "rev-parse", f"{revision}^{{commit}}", cwd=clone).strip()
            for version, revision in versions.items()
        }
        build(clone, revisions)
        site = Path(scratch, "site") if trial else ROOT / "site"
        shutil.rmtree(site, ignore_errors=True)
        output("git", "clone", "-q", "--branch", BRANCH, str(clone), str(site), cwd=ROOT)
        shutil.rmtree(site / ".git")
        messages = problems(site, list(versions))
        pages = sum(1 for _ in site.rglob("*.html"))
    print(
        "\n".join(messages) or f"versions {', '.join(versions)}; {pages} pages; the root leads to {list(versions)[-1]}"
    )
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
