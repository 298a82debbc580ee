"""What a run was: its passport, and how two runs differ."""

from .facts import run_facts
from .masking import masked
from .record import PASSPORT, Passport

__all__ = ["PASSPORT", "Passport", "masked", "run_facts"]
