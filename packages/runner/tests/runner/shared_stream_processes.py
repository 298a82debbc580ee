"""Starts shared_stream_ranks.py on two ranks, for the tests with and without other libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rank_processes import outputs_of_two_ranks

DRIVER = Path(__file__).with_name("shared_stream_ranks.py")


def trained_on_two_ranks(folder: Path, *cases: str) -> list[dict[str, Any]]:
    """What each of two ranks trained on, by case and start."""
    texts = outputs_of_two_ranks(DRIVER, folder, str(folder), *cases)
    reports = [folder / f"{rank}.json" for rank in range(2)]
    assert all(report.exists() for report in reports), "\n".join(text[-3000:] for text in texts)
    return [json.loads(report.read_text()) for report in reports]
