"""The passport of a run: a JSON record of config, code, data and software, to compare runs and to reproduce a run."""

from .facts import run_facts
from .masking import masked
from .of_run import end_passport, write_passport
from .record import PASSPORT, Passport

__all__ = ["PASSPORT", "Passport", "end_passport", "masked", "run_facts", "write_passport"]
