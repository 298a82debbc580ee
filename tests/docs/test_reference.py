"""docs/reference.md is what scripts/reference_tables.py makes of today's code."""

from __future__ import annotations

import builtins
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_page_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts/reference_tables.py")]
    made = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    assert made.rstrip() == text.rstrip(), "run: python scripts/reference_tables.py --update"
    assert "| `max_epochs`" not in text
    assert "| `CheckpointHook` |" in text
    assert "| `nan_policy` | `'warn'` |" in text


def test_troubleshooting_names_errors_that_exist() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("packages/*/src/**/*.py"))
    defined = set(re.findall(r"^class (\w+)\(", sources, re.MULTILINE))
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+Error)`", page))
    assert len(named) > 35
    of_others = {*vars(builtins), "OutOfMemoryError"}
    assert named - of_others <= defined
