"""Puts the pages of the documentation into the wheel, where `eng help` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGES = "src/eng/cli/pages"


class PagesHook(BuildHookInterface):
    """A checkout has the pages in docs/; an sdist carries its copy, from which its wheel is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the pages to what hatchling packs."""
        docs = Path(self.root).parents[1] / "docs"
        carried = Path(self.root) / PAGES
        source = docs if docs.is_dir() else carried
        target = PAGES if self.target_name == "sdist" else "eng/cli/pages"
        if version == "editable":  # `eng help` finds the checkout's pages
            return
        for page in sorted(source.rglob("*.md")):
            name = page.relative_to(source).as_posix()
            if not name.startswith("api/"):  # they hold directives for mkdocstrings only
                build_data["force_include"][str(page)] = f"{target}/{name}"
