"""The record of parameter initialization, which subclasses of ``BaseModule`` write in their own ``init_weights``."""

from __future__ import annotations

from typing import Any

from eng.model._init_record import write_record


class OfBaseModule:
    """Members of :class:`eng.model.BaseModule` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    # MMEngine calls init_weights() of every child module that defines it. Results of published configs depend on this,
    # so the models of old code do the same.
    initialises_any_child = True

    def _dump_init_info(self: Any) -> None:
        """Writes to the log file how each parameter was initialized, as recorded in ``_params_init_info``."""
        write_record(self)


MEMBERS = {"BaseModule": OfBaseModule}
