"""Which process wrote a file: one that has its number later is another one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from eng.logging.process import is_alive, is_this_process, start_of, this_process

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell when a process began")


@pytest.fixture
def child():
    """A process whose program has brackets and spaces in its name, which /proc writes unquoted."""
    code = "import sys; open('/proc/self/comm', 'w').write(') 1 (x'); print('ready', flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


@linux
def test_the_start_is_that_of_ps(child) -> None:
    boot, _, ticks = start_of(child.pid).partition(":")
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 <= uptime - int(ticks) / os.sysconf("SC_CLK_TCK") < 600
    assert start_of(child.pid) == start_of(child.pid)


@linux
def test_a_process_that_has_the_number_of_an_earlier_one_is_another(child) -> None:
    facts = {"host": socket.gethostname(), "pid": child.pid, "started": start_of(child.pid)}
    assert is_alive(facts)
    boot, _, ticks = facts["started"].partition(":")
    for started in (f"{boot}:{int(ticks) - 1}", f"0{boot[1:]}0:{ticks}"):  # of the same and of another boot
        assert not is_alive({**facts, "started": started})
        assert not is_this_process({**this_process(), "started": started})


def test_this_process_is_itself_and_no_other() -> None:
    assert is_this_process(this_process())
    assert is_alive(this_process())
    assert not is_this_process({**this_process(), "pid": os.getppid()})
    assert not is_this_process({**this_process(), "host": "elsewhere"})
    assert not is_this_process({})


def test_facts_without_a_start_go_by_host_and_number() -> None:
    facts = {"host": socket.gethostname(), "pid": os.getpid()}
    assert is_this_process(facts)
    assert is_alive(facts)
    assert is_alive({"host": "elsewhere", "pid": 2**22 - 3, "started": "other"})
    assert not is_alive({"host": socket.gethostname(), "pid": 2**22 - 3})
    assert not is_alive({"host": socket.gethostname()})
    assert not is_alive({"host": socket.gethostname(), "pid": "x"})


def test_a_process_that_ended_is_not_alive(child) -> None:
    facts = {"host": socket.gethostname(), "pid": child.pid, "started": start_of(child.pid)}
    child.kill()
    child.communicate()
    assert not is_alive(facts)
    assert start_of(child.pid) is None or start_of(child.pid) != facts["started"]
