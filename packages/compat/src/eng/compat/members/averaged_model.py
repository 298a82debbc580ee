"""``BaseAveragedModel.avg_parameters``."""

from __future__ import annotations

from typing import Any


class OfBaseAveragedModel:
    """Added to :class:`eng.model.BaseAveragedModel`."""

    @property
    def avg_parameters(self: Any) -> dict[str, Any]:
        """The tensors that are averaged, by name: the parameters, with ``update_buffers=True`` all of the state."""
        if self.update_buffers:
            return dict(self.module.state_dict())
        return dict(self.module.named_parameters())


MEMBERS = {"BaseAveragedModel": OfBaseAveragedModel}
