"""Selects Petrel for ``s3://`` if its client is installed, because old configs rely on the client's credentials."""

from __future__ import annotations

import importlib.util
from typing import Any

from eng.fileio.backends.registry_utils import BackendTable

_name_for_prefix = BackendTable.name_for_prefix


class OfBackendTable:
    """A method of the table of storage backends that only code written for MMEngine needs.

    It replaces the method of eng while ``import mmengine`` imports eng.
    """

    def name_for_prefix(self: Any, prefix: str) -> str:
        """Returns the name of the backend for a URI scheme: Petrel for ``s3`` if ``petrel_client`` is installed.

        Raises:
            UnknownBackendError: no backend supports the scheme.
        """
        if prefix == "s3" and self._prefixes.get("s3") == "fsspec" and importlib.util.find_spec("petrel_client"):
            return "petrel"
        return _name_for_prefix(self, prefix)


MEMBERS = {"BackendTable": OfBackendTable}
