"""The starts of a run: each start has its own folder in the work directory, with its number in ``start.json``."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .process import this_process

__all__ = ["PASSPORT", "STAMP", "START_FILE", "claim_start", "job_name", "read_record", "read_start", "start_number"]

START_FILE = "start.json"
PASSPORT = "passport.json"
"""File with the config, code, data and versions of a start; see :mod:`eng.runner.passport`."""
STAMP = re.compile(r"\d{8}_\d{6}(_\d+)?$")


def claim_start(work_dir: str | Path, stamp: str, is_taken: Callable[[str], bool] = lambda _: False) -> str:
    """Creates a new folder for a start of a run, and writes the number of the start into it.

    Args:
        work_dir: work directory of the run, in which the folder is created.
        stamp: name of the folder; if it exists already, ``<stamp>_1`` and so on.
        is_taken: function that tells whether a name must not be used although no folder has it.

    Returns:
        The name of the folder.

    Raises:
        OSError: the folder cannot be created.
    """
    folder = Path(work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    number = 1 + max((start_number(path.parent) for path in folder.glob(f"*/{START_FILE}")), default=0)
    name, attempt = stamp, 0
    while is_taken(name) or not _make(folder / name):
        attempt += 1
        name = f"{stamp}_{attempt}"
    facts: dict[str, Any] = {"number": number, "time_ns": time.time_ns(), **this_process()}
    job = job_name()
    if job is not None:
        facts["job"] = job
    (folder / name / START_FILE).write_text(json.dumps(facts), encoding="utf-8")
    return name


def job_name() -> str | None:
    """Returns the job id that torchrun gives to all starts of a job (``--rdzv-id``); None if the user set none."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name in (None, "", "none"):
        return None
    return name


def read_start(folder: str | Path) -> dict[str, Any]:
    """Returns the content of a start's ``start.json``; empty if the file is missing or cannot be read."""
    return read_record(Path(folder) / START_FILE)


def read_record(path: Path) -> dict[str, Any]:
    """Returns the mapping in a JSON file; empty if the file is missing, damaged, or contains no mapping."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if isinstance(record, dict):
        return record
    return {}


def start_number(folder: str | Path) -> int:
    """Returns the number of the start with this folder, counted from 1; 0 if it is not recorded."""
    number = read_start(folder).get("number")
    if isinstance(number, int) and number > 0:
        return number
    return 0


def _make(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True
