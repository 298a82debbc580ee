"""Names of the files in the folder of a sharded checkpoint."""

from __future__ import annotations

__all__ = ["COMMON", "METADATA"]

COMMON = "common.pth"
"""The file that holds everything but the sharded tensors."""
METADATA = ".metadata"
"""The file that describes the sharded tensors; torch chose its name."""
