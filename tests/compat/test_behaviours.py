"""What code written for MMEngine does and reads gives under the alias what MMEngine 0.10.7 gives (behaviours.json)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_behaviours_are_those_of_the_reference() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "eng.compat", str(HERE / "behaviours.py")]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, env=env, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"g01')))
    expected = json.loads((HERE / "behaviours.json").read_text(encoding="utf-8"))
    assert {name: value for name, value in results.items() if value != expected[name]} == {}
    assert results.keys() == expected.keys()
