# ruff: noqa: PTH118  # paths may be URLs
"""Restricts which base configs a config read with ``trust=False`` may inherit from."""

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
    """The folder that must contain all base configs of a config read with ``trust=False``.

    Attributes:
        root: absolute path of the folder; None allows no base configs at all.
    """

    root: str | None

    @classmethod
    def around(cls, path: str) -> Tree:
        """Returns the allowed folder for a config file.

        This is the innermost parent folder named ``configs``, or the folder of the file if no parent has that name.
        """
        folder = Path(path).resolve().parent
        named = [parent for parent in (folder, *folder.parents) if parent.name == CONFIG_FOLDER]
        return cls(str(named[0] if named else folder))

    def check(self, name: str, path: str, location: str) -> None:
        """Checks that a base config may be read.

        Args:
            name: the base config as written in the child config, for messages.
            path: absolute path of the base config.
            location: path of the child config, for messages.

        Raises:
            UnsafeConfigError: the base config is a URL or lies outside of the allowed folder.
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
