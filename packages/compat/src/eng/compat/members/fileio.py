"""Attributes of MMEngine's storage backends that contain their options."""

from __future__ import annotations

from typing import Any


class OfLmdbBackend:
    """Members of :class:`eng.fileio.LmdbBackend` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    lock = property(lambda self: self.options["lock"])
    readahead = property(lambda self: self.options["readahead"])

    @property
    def kwargs(self: Any) -> dict[str, Any]:
        """Further options of ``lmdb.open``."""
        return {name: value for name, value in self.options.items() if name not in ("lock", "readahead")}


class OfMemcachedBackend:
    """Members of :class:`eng.fileio.MemcachedBackend` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    server_list_cfg = property(lambda self: self.servers)
    client_cfg = property(lambda self: self.options)


MEMBERS_OF_LMDB = {"LmdbBackend": OfLmdbBackend}
MEMBERS_OF_MEMCACHED = {"MemcachedBackend": OfMemcachedBackend}
