"""The passport of a run: a record of config, code, data and software, by which runs are compared and repeated."""

from .facts import run_facts
from .masking import masked
from .of_run import end_passport, write_passport
from .record import PASSPORT, Passport

__all__ = ["PASSPORT", "Passport", "end_passport", "masked", "run_facts", "write_passport"]
