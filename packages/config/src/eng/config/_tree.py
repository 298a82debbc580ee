# ruff: noqa: PTH118  # paths may be URLs
"""Which files a config that nobody vouches for may read: those of its own tree."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ._locate import package_folders
from ._source import is_url
from .errors import UnsafeConfigError

CONFIG_FOLDER = "configs"


@dataclass(frozen=True)
class Tree:
    """The folder below which base files may lie; None where a config may have none.

    Attributes:
        root: absolute path.
    """

    root: str | None

    @classmethod
    def around(cls, path: str) -> Tree:
        """The tree of a file: the innermost folder above it that is called ``configs``, else the folder it lies in."""
        folder = Path(path).resolve().parent
        named = [parent for parent in (folder, *folder.parents) if parent.name == CONFIG_FOLDER]
        return cls(str(named[0] if named else folder))

    def check(self, name: str, path: str, location: str) -> None:
        """Lets a base pass.

        Args:
            name: as the file writes it.
            path: where it lies.
            location: of the file that names it, for messages.

        Raises:
            UnsafeConfigError: it is a URL or lies elsewhere.
        """
        if self.root is None:
            raise UnsafeConfigError(f"a text read with trust=False cannot inherit; it names {name!r}", location)
        if is_url(path):
            raise UnsafeConfigError(f"with trust=False nothing is fetched; the base {name!r} is a URL", location)
        package = None
        if "::" in name:
            package = name.partition("::")[0]
        if package is None:
            roots = [self.root]
        else:
            roots = package_folders(package, location)
        real = os.path.realpath(path)
        if not any(real.startswith(os.path.join(os.path.realpath(root), "")) for root in roots):
            raise UnsafeConfigError(
                f"with trust=False bases lie below {roots[0]}, and {name!r} does not; to allow more, name the folder "
                "by Config.fromfile(…, trust=False, root=…)",
                location,
            )
