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
    """Creates the timestamped subfolder for one launch of a run, with the launch's number in the file ``start.json``.

    Args:
        work_dir: work directory of the run, in which the subfolder is created.
        stamp: name of the subfolder. If a folder with this name exists, the name is ``<stamp>_1``, ``<stamp>_2`` and so
            on.
        is_taken: function that returns True for a name that must not be used although no folder has this name.

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
    """Returns the job id that the user passed to torchrun on every machine (``--rdzv-id``); None if there is no id."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    if name in (None, "", "none"):
        return None
    return name


def read_start(folder: str | Path) -> dict[str, Any]:
    """Returns the content of ``start.json`` in the folder of a launch; an empty dict if the file cannot be read."""
    return read_record(Path(folder) / START_FILE)


def read_record(path: Path) -> dict[str, Any]:
    """Returns the mapping in a JSON file; an empty dict if the file is missing, damaged, or contains no mapping."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if isinstance(record, dict):
        return record
    return {}


def start_number(folder: str | Path) -> int:
    """Returns the number of the launch whose folder is ``folder``, counted from 1; 0 if the number is not recorded."""
    number = read_start(folder).get("number")
    if isinstance(number, int) and number > 0:
        return number
    return 0


def _make(folder: Path) -> bool:
    """Creates a folder; returns False if the folder exists, for example because another launch has just created it."""
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True
