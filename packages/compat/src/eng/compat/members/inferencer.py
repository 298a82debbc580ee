"""Helpers of ``BaseInferencer`` that libraries call to read their own model index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eng.fileio import load
from eng.hub.model_index import index_file


class OfBaseInferencer:
    """Members of :class:`eng.infer.BaseInferencer` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    @staticmethod
    def _get_repo_or_mim_dir(scope: str) -> str:
        """Returns the folder that contains the ``model-index.yml`` of a library.

        Args:
            scope: import name of the library, which is also its registry scope.

        Raises:
            ModuleNotFoundError: the library is not installed.
            FileNotFoundError: the library has no model index.
        """
        return str(index_file(scope).parent)

    @staticmethod
    def _get_models_from_metafile(dir: str) -> Iterator[dict[str, Any]]:
        """Yields the descriptions of all models in the metafiles that the ``model-index.yml`` of a folder names."""
        root = Path(dir)
        for metafile in load(str(root / "model-index.yml")).get("Import", []):
            content = load(str(root / metafile))
            yield from (content.get("Models") if isinstance(content, dict) else content) or ()


MEMBERS = {"BaseInferencer": OfBaseInferencer}
