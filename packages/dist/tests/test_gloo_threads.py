"""The end of a process waits for gloo's threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux shows what threads do")

# A thread with the name of gloo's computes without the interpreter's lock when the program is at its end.
BUSY = """
import hashlib, pathlib, sys, threading

def work():
    pathlib.Path("/proc/thread-self/comm").write_text("pt_gloo_runloop")
    is_named.set()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000)
    pathlib.Path(sys.argv[1]).write_text("through")

is_named = threading.Event()
threading.Thread(target=work, daemon=True).start()
is_named.wait()
"""


def last_words(tmp_path: Path, begin: str, **variables: str) -> str:
    script, report = tmp_path / "script.py", tmp_path / "report"
    script.write_text(begin + BUSY)
    subprocess.run([sys.executable, str(script), str(report)], env={**os.environ, **variables}, check=True, timeout=120)
    return report.read_text() if report.exists() else ""


def test_a_joined_group_ends_after_its_threads(tmp_path: Path) -> None:
    one_rank = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    begin = "from eng.dist import init_dist; init_dist('pytorch', backend='gloo')\n"
    assert last_words(tmp_path, begin, **one_rank) == "through"


def test_without_a_group_nothing_is_awaited(tmp_path: Path) -> None:
    assert last_words(tmp_path, "import eng.dist\n") == ""


def test_no_gloo_thread_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    from eng.dist import _gloo_threads

    monkeypatch.setattr(_gloo_threads.time, "sleep", lambda _: pytest.fail("nothing to wait for"))
    _gloo_threads.wait_for_gloo_threads()
