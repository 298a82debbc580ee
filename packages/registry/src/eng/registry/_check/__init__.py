"""Proving a config before anything of it is built."""

from .findings import Finding, Kind
from .walk import check

__all__ = ["Finding", "Kind", "check"]
