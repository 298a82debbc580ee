"""``BaseAveragedModel.avg_parameters``."""

from __future__ import annotations

from typing import Any


class OfBaseAveragedModel:
    """Members of :class:`eng.model.BaseAveragedModel` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    @property
    def avg_parameters(self: Any) -> dict[str, Any]:
        """The averaged tensors by name: the parameters; with ``update_buffers=True`` the complete state dict."""
        if self.update_buffers:
            return dict(self.module.state_dict())
        return dict(self.module.named_parameters())


MEMBERS = {"BaseAveragedModel": OfBaseAveragedModel}
