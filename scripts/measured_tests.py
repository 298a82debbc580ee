"""Runs pytest and writes which lines of a package ran: ``measured_tests.py SOURCES REPORT.json PYTEST-OPTION...``.

slipcover notes each line once and then lets it run as it was, so that the tests take no longer. Its own command would also follow
forked processes, by replacing `os.fork` and `os._exit`, which tests of workers do not survive.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# Dynamo cannot read the calls that slipcover puts between the lines of what torch compiles.
COMPILED = ["*/eng/runner/assemble/compilation.py"]


def main() -> int:
    import pytest
    import slipcover

    sources, report, *options = sys.argv[1:]
    sys.path[0] = str(Path.cwd())  # as with `python -m pytest`: spawned processes import the tests from there
    notes = slipcover.Slipcover(source=[sources], omit=COMPILED)
    with slipcover.ImportManager(notes, slipcover.FileMatcher(sources=[sources], omit=COMPILED)):
        status = pytest.main(options)
    Path(report).write_text(json.dumps(notes.get_coverage()), encoding="utf-8")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
