from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CASE = """
import os, unittest
from eng.compat.legacy.testing_internal import MultiProcessTestCase

class TestRanks(MultiProcessTestCase):
    def setUp(self):
        super().setUp()
        self._spawn_processes()
    def test_each_rank_runs(self):
        with open(self.file_name, "a") as file:
            file.write(f"rank {self.rank} of {self.world_size}\\n")
    def test_fails(self):
        if self.rank == 1:
            raise ValueError("rank 1 is wrong")
    def test_skips(self):
        raise unittest.SkipTest("not here")

if __name__ == "__main__":
    unittest.main()
"""


def test_processes_of_a_test_case_report_failures_and_skips(tmp_path: Path) -> None:
    script = tmp_path / "ranks.py"
    script.write_text(CASE)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert "ValueError: rank 1 is wrong" in done.stderr
    assert "FAILED (errors=1, skipped=1)" in done.stderr
