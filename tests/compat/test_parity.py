"""Names, signatures and defaults of MMEngine 0.10.7 under the alias, and everything that four real libraries import.

The reference's interface lies in ``../shared/parity`` beside the checkout; without it the tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARITY = next(
    (path / "shared/parity" for path in (ROOT, ROOT.parent) if (path / "shared/parity/check.py").exists()), None
)
pytestmark = pytest.mark.skipif(PARITY is None, reason="the reference's interface is not beside this checkout")

RESOLVE = """
import importlib, json, sys
import eng.compat
eng.compat.install()
missing = []
for name in json.load(open(sys.argv[1]))["names"]:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        try:
            for part in parts[length:]:
                found = getattr(found, part)
        except AttributeError as error:
            missing.append(f"{name}: {error}")
        break
print(json.dumps(missing))
"""


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", *args], capture_output=True, text=True, cwd=ROOT, timeout=170
    )


def test_all_523_names_are_there_and_can_be_called_the_same_way() -> None:
    done = run(str(PARITY / "check.py"), "--summary")
    assert done.stdout.strip().splitlines()[-1] == "523 compatible, 523 present of 523 reference names", done.stdout[
        -2000:
    ]


def test_every_name_that_libraries_import_resolves() -> None:
    done = run("-c", RESOLVE, str(PARITY / "names-used-by-libraries.json"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_exceptions_are_few_and_listed_in_the_documentation() -> None:
    exceptions = json.loads((ROOT / "tests/parity_exceptions.json").read_text(encoding="utf-8"))
    assert len(exceptions) <= 7
    page = (ROOT / "docs/differences.md").read_text(encoding="utf-8")
    assert all(name.split(".")[2] in page for name in exceptions)
