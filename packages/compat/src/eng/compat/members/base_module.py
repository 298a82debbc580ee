"""The record of initialisation that subclasses of ``BaseModule`` keep in an ``init_weights`` of their own."""

from __future__ import annotations

from typing import Any

from eng.model._init_record import write_record


class OfBaseModule:
    """Added to :class:`eng.model.BaseModule`."""

    # MMEngine calls init_weights() of every child that has it, and the numbers of published configs depend on that.
    initialises_any_child = True

    def _dump_init_info(self: Any) -> None:
        """Writes what set each parameter to the log file. ``_params_init_info`` must hold the record."""
        write_record(self)


MEMBERS = {"BaseModule": OfBaseModule}
