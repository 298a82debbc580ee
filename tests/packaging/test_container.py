"""docker/Dockerfile: what the packages read while they are built is in the image."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]


def as_regex(pattern: str) -> re.Pattern[str]:
    """A pattern of .dockerignore: ``**`` is any number of folders, ``*`` any part of a name."""
    text = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.compile(text)


def is_sent(path: str, lines: list[str]) -> bool:
    """Whether docker sends a file to the build: the last pattern that matches it or a folder above it decides."""
    above = [path, *map(str, PurePosixPath(path).parents)]
    matching = [line for line in lines if any(as_regex(line.removeprefix("!")).fullmatch(name) for name in above)]
    return not matching or matching[-1].startswith("!")


def test_patterns_are_read_as_docker_reads_them() -> None:
    lines = ["**", "!docs", "docs/*/raw", "**/cache"]
    sent = ["docs/a.md", "docs/b/c.md"]
    kept_out = ["a.md", "docs/b/raw", "docs/b/raw/c.md", "docs/cache", "docs/b/cache/c.md"]
    assert [path for path in (*sent, *kept_out) if is_sent(path, lines)] == sent


def test_the_image_has_what_the_builds_read() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    pages = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md")]
    assert len(pages) > 40
    needed = [*pages, "constraints.txt", "packages/eng/hatch_build.py", "packages/runner/src/eng/hooks/__init__.py"]
    assert [path for path in needed if not is_sent(path, lines)] == []
    dockerfile = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
    before_install = dockerfile.partition("./packages/config")[0]
    copied = re.findall(r"^COPY (\S+) \S+$", before_install, re.MULTILINE)
    assert set(copied) == {path.partition("/")[0] for path in needed}
    assert not is_sent("packages/runner/tests/test_runner.py", lines)
