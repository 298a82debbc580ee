"""``BaseModel._set_device``."""

from __future__ import annotations

from typing import Any

import torch

from eng.model.base_model.data_preprocessor import BaseDataPreprocessor


class OfBaseModel:
    """Members of :class:`eng.model.BaseModel` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    def _set_device(self: Any, device: Any) -> None:
        """Sets the device to which all data preprocessors of the model move batches."""
        for module in self.modules():
            if isinstance(module, BaseDataPreprocessor):
                module._device = torch.device(device)  # noqa: SLF001  # the public property `device` can only be read


MEMBERS = {"BaseModel": OfBaseModel}
