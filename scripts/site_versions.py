"""Tries the site in two versions: deploys both with mike into a scratch clone, and looks at what readers would get.

``nox -s site_versions`` runs this. RELEASING.md has the commands that deploy a release.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BRANCH = "gh-pages"


def output(*call: str, cwd: Path) -> str:
    """What a command prints; its failure ends the script."""
    return subprocess.run(call, cwd=cwd, check=True, capture_output=True, text=True, timeout=900).stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "eng"
        output("git", "clone", "-q", str(ROOT), str(clone), cwd=ROOT)
        for key, value in {"user.name": "eng", "user.email": "eng@localhost"}.items():
            output("git", "config", key, value, cwd=clone)
        mike = str(Path(sys.executable).with_name("mike"))
        output(mike, "deploy", "--branch", BRANCH, "--update-aliases", "1.0", "latest", cwd=clone)
        output(mike, "deploy", "--branch", BRANCH, "--update-aliases", "1.1", "latest", cwd=clone)
        output(mike, "set-default", "--branch", BRANCH, "latest", cwd=clone)
        versions = json.loads(output("git", "show", f"{BRANCH}:versions.json", cwd=clone))
        files = set(output("git", "ls-tree", "-r", "--name-only", BRANCH, cwd=clone).splitlines())
        start = output("git", "show", f"{BRANCH}:index.html", cwd=clone)
    aliases = {entry["version"]: entry["aliases"] for entry in versions}
    assert aliases == {"1.1": ["latest"], "1.0": []}, aliases
    pages = ("index.html", "zh/index.html", "start/fifteen-minutes/index.html", "search/search_index.json")
    missing = [f"{version}/{page}" for version in aliases for page in pages if f"{version}/{page}" not in files]
    assert not missing, missing
    assert "latest/" in start, "the root does not lead to the newest version"
    print(f"versions {', '.join(aliases)}; {len(files)} files; the root leads to latest")


if __name__ == "__main__":
    main()
