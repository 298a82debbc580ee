"""``s3://`` on clusters that have Petrel's client: old configs mean that client, which knows the cluster's credentials."""

from __future__ import annotations

import importlib.util
from typing import Any

from eng.fileio.backends.registry_utils import BackendTable

_name_for_prefix = BackendTable.name_for_prefix


class OfBackendTable:
    """Added to the table of storage backends."""

    def name_for_prefix(self: Any, prefix: str) -> str:
        """The backend that serves a prefix: Petrel for ``s3`` where ``petrel_client`` can be imported.

        Raises:
            UnknownBackendError: nobody serves it.
        """
        if prefix == "s3" and self._prefixes.get("s3") == "fsspec" and importlib.util.find_spec("petrel_client"):
            return "petrel"
        return _name_for_prefix(self, prefix)


MEMBERS = {"BackendTable": OfBackendTable}
