"""The starts of a run: each has a folder of its own in the work dir, which says which start it was."""

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
"""What a start was: its config, code, data and versions; see :mod:`eng.runner.passport`."""
STAMP = re.compile(r"\d{8}_\d{6}(_\d+)?$")


def claim_start(work_dir: str | Path, stamp: str, is_taken: Callable[[str], bool] = lambda _: False) -> str:
    """Makes a folder that no other start has, and writes into it which start of the run this is.

    Args:
        work_dir: in which the folder is made.
        stamp: its name; ``<stamp>_1`` and so on where others have that.
        is_taken: whether a name must not be used for another reason.

    Returns:
        The name of the folder.

    Raises:
        OSError: the folder cannot be made.
    """
    folder = Path(work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    number = 1 + max((start_number(path.parent) for path in folder.glob(f"*/{START_FILE}")), default=0)
    name, attempt = stamp, 0
    while is_taken(name) or not _make(folder / name):
        attempt += 1
        name = f"{stamp}_{attempt}"
    facts: dict[str, Any] = {"number": number, "time_ns": time.time_ns(), **this_process()}
    facts |= {"job": job} if (job := job_name()) is not None else {}
    (folder / name / START_FILE).write_text(json.dumps(facts), encoding="utf-8")
    return name


def job_name() -> str | None:
    """The name that torchrun's agents give all starts of a job (``--rdzv-id``); None where it has none of its own."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    return None if name in (None, "", "none") else name


def read_start(folder: str | Path) -> dict[str, Any]:
    """What a start wrote about itself; empty where there is no such file, or none that can be read."""
    return read_record(Path(folder) / START_FILE)


def read_record(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty where there is no such file, or one that holds no mapping."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if isinstance(record, dict):
        return record
    return {}


def start_number(folder: str | Path) -> int:
    """Which start of the run the folder belongs to, from 1; 0 where nobody wrote it down."""
    number = read_start(folder).get("number")
    return number if isinstance(number, int) and number > 0 else 0


def _make(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True
