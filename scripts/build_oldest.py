"""Builds the oldest release of a package that its siblings' ranges allow: ``build_oldest.py NAME FOLDER``.

The lower bound of the ranges names the version. Its source is the tag ``eng-NAME-vVERSION``. Where that tag does not exist,
today's source is built under that version, which shows at least that the ranges can be satisfied.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def oldest_version(distribution: str) -> str:
    """The highest lower bound that any package of this repository sets for `distribution`.

    Raises:
        SystemExit: two packages cannot be installed together, as their ranges do not meet.
    """
    pattern = re.compile(rf'"{re.escape(distribution)}(?:\[[^\]]*\])?>=([\d.]+),<([\d.]+)"')
    texts = [path.read_text(encoding="utf-8") for path in ROOT.glob("packages/*/pyproject.toml")]
    ranges = [match.groups() for text in texts for match in pattern.finditer(text)]
    as_numbers = [tuple(tuple(map(int, bound.split("."))) for bound in bounds) for bounds in ranges]
    if not as_numbers:
        return "1.0.0"
    lower, upper = max(low for low, _ in as_numbers), min(high for _, high in as_numbers)
    if lower >= upper:
        sys.exit(f"no version of {distribution} satisfies every package: {sorted(set(ranges))}")
    return ".".join(map(str, (*lower, 0, 0)[:3]))


def source_of(name: str, distribution: str, version: str, scratch: Path) -> Path:
    """A folder with the source of that version."""
    tag = f"{distribution}-v{version}"
    has_tag = not subprocess.run(
        ["git", "rev-parse", "-q", "--verify", tag], cwd=ROOT, capture_output=True, check=False
    ).returncode
    archive = subprocess.run(
        ["git", "archive", tag if has_tag else "HEAD", f"packages/{name}"], cwd=ROOT, capture_output=True, check=True
    )  # fmt: skip
    subprocess.run(["tar", "-x", "-C", str(scratch)], input=archive.stdout, check=True)
    package = scratch / "packages" / name
    if not has_tag:
        (version_file,) = package.glob("src/eng/*/_version.py")
        version_file.write_text(f'__version__ = "{version}"\n', encoding="utf-8")
    return package


def main() -> None:
    name, folder = sys.argv[1:]
    distribution = "eng" if name == "eng" else f"eng-{name}"
    version = oldest_version(distribution)
    with tempfile.TemporaryDirectory() as scratch:
        package = source_of(name, distribution, version, Path(scratch))
        command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", folder, str(package)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
