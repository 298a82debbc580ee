"""``BaseModel._set_device``."""

from __future__ import annotations

from typing import Any

import torch

from eng.model.base_model.data_preprocessor import BaseDataPreprocessor


class OfBaseModel:
    """Added to :class:`eng.model.BaseModel`."""

    def _set_device(self: Any, device: Any) -> None:
        """Tells all data preprocessors inside the model to which device they send batches."""
        for module in self.modules():
            if isinstance(module, BaseDataPreprocessor):
                module._device = torch.device(device)  # noqa: SLF001  # what its property shows


MEMBERS = {"BaseModel": OfBaseModel}
