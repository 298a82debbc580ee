"""`eng watch`: a run that is written while it is watched, in a browser and on a terminal."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from curve_files import start, training, write
from page_browser import chromium, needs_browser

from eng.runner.watch import Watcher, WatchServer, screen_lines

STAMP = "20260101_000000"

# What the entry point `watch` calls; `eng` itself is another package.
COMMAND = [sys.executable, "-c", "from eng.runner.watch._commands import watch; watch()"]


def append(file: Path, *iterations: int, tail: str = "") -> None:
    with file.open("a") as stream:
        stream.write("".join(json.dumps(line) + "\n" for i in iterations for line in training(i)) + tail)


def began(work_dir: Path, pid: int) -> None:
    """The passport of a start whose process has this number."""
    folder = work_dir / STAMP
    folder.mkdir(parents=True, exist_ok=True)
    host = {"name": socket.gethostname(), "pid": pid}
    (folder / "passport.json").write_text(json.dumps({"format": 1, "began": "2026", "host": host}))


def statuses(watcher: Watcher) -> dict[str, str]:
    return {run.curves.name: run.status for run in watcher.look()}


@pytest.fixture
def serve():
    servers = []

    def run(*folders: Path) -> WatchServer:
        server = WatchServer(Watcher(folders))
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
        return server

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_run_is_followed_from_before_its_folder_to_its_end(tmp_path) -> None:
    watcher = Watcher([tmp_path / "net"])
    assert statuses(watcher) == {"net": "nothing written yet"}
    began(tmp_path / "net", os.getpid())
    assert statuses(watcher) == {"net": "running, nothing written yet"}
    file = start(tmp_path / "net", STAMP, 2)
    assert statuses(watcher) == {"net": "running, iteration 2"}
    append(file, 3, tail='{"loss": 0.')
    assert statuses(watcher) == {"net": "running, iteration 3"}
    append(file, tail="broken\n")
    append(file, 4)
    (run,) = watcher.look()
    assert run.status == "running, iteration 4, 1 damaged line left out"
    assert run.curves.points["loss", "iter"] == ([1, 2, 3, 4], [1, 1 / 2, 1 / 3, 1 / 4])
    end = {"status": "done", "best": {"metric": "accuracy", "score": 0.1}}
    (tmp_path / "net" / STAMP / "end.json").write_text(json.dumps(end))
    assert statuses(watcher)["net"] == "done, iteration 4, accuracy: 0.1 (best), 1 damaged line left out"


def test_a_run_whose_process_is_gone_was_killed(tmp_path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(30)
    began(tmp_path / "net", ended.pid)
    assert statuses(Watcher([tmp_path])) == {"net": "killed, nothing written yet"}


def test_runs_that_appear_later_stand_behind_those_before(tmp_path) -> None:
    watcher = Watcher([tmp_path])
    start(tmp_path / "b", STAMP, 2)
    assert list(statuses(watcher)) == ["b"]
    start(tmp_path / "a", STAMP, 2)
    assert list(statuses(watcher)) == ["b", "a"]


def test_a_file_that_becomes_unreadable_keeps_its_curves(tmp_path) -> None:
    file = start(tmp_path / "net", STAMP, 3)
    watcher = Watcher([tmp_path / "net"])
    watcher.look()
    file.write_text("no JSON\n")
    (run,) = watcher.look()
    assert run.curves.points["loss", "iter"][0] == [1, 2, 3]
    assert "expected a JSON object on each line" in run.status


def ask(server: WatchServer, path: str, host: str | None = None) -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    link.request("GET", path, headers={"Host": host} if host else {})
    answer = link.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        link.close()


def test_the_server_answers_this_machine_alone(tmp_path, serve) -> None:
    start(tmp_path / "net", STAMP, 2)
    server = serve(tmp_path)
    assert server.server_address[0] == "127.0.0.1"
    assert ask(server, "/")[0] == 200
    assert ask(server, "/", f"localhost:{server.server_port}")[0] == 200
    assert ask(server, "/", f"evil.example:{server.server_port}")[0] == 403
    assert ask(server, "/data.json", "evil.example")[0] == 403
    for path in ("/../../etc/passwd", "/etc/passwd", "/net", "//etc/passwd"):
        assert ask(server, path)[0] == 404


def test_an_answer_without_news_is_empty(tmp_path, serve) -> None:
    file = start(tmp_path / "net", STAMP, 2)
    server = serve(tmp_path)
    version = json.loads(ask(server, "/data.json")[1])["version"]
    assert ask(server, f"/data.json?have={version}") == (204, b"")
    append(file, 3)
    status, text = ask(server, f"/data.json?have={version}")
    assert status == 200
    assert json.loads(text)["charts"][0]["curves"][0][1] == [1, 2, 3]


LOSSES = "return [...document.querySelectorAll('figure[data-name=loss] circle')].length"
STATUS = "return [...document.querySelectorAll('#runs .status')].map(s => s.textContent)"
FIGURES = "return [...document.querySelectorAll('#charts figure')].map(f => f.dataset.name)"
RANGE = "const f = document.querySelector('figure[data-name=loss]').dataset; return [+f.from, +f.to]"


@needs_browser
@pytest.mark.timeout(120)
def test_the_page_follows_a_run_that_is_written(tmp_path, serve) -> None:
    server = serve(tmp_path)
    with chromium() as page:
        page.open(server.url)
        assert page.until(STATUS, ["nothing written yet"]) == ["nothing written yet"]
        began(tmp_path / "<b>net", os.getpid())
        file = write(tmp_path / "<b>net" / STAMP / "vis_data" / "scalars.json", training(1) + training(2))
        assert page.until(LOSSES, 2) == 2
        append(file, 3, tail='{"loss": 1, "st')
        assert page.until(LOSSES, 3) == 3
        append(file, tail='ep"\n')
        append(file, 4)
        assert page.until(FIGURES, ["loss", "accuracy"]) == ["loss", "accuracy"]
        assert page.run(STATUS) == ["running, iteration 4, 1 damaged line left out"]
        assert page.run(RANGE) == [1, 4]
        start(tmp_path / "later", STAMP, 8)
        assert page.until("return document.querySelectorAll('#runs input').length", 2) == 2
        assert page.run("return document.querySelectorAll('#runs b').length") == 0  # a name is text
        assert page.run(RANGE) == [1, 8]
        page.click("input[data-run=later]")
        append(file, 5)
        assert page.until(STATUS + "[0].includes('5')", True)
        assert page.run("return document.querySelector('input[data-run=later]').checked") is False
        server.shutdown()
        server.server_close()
        ended = "eng watch has ended: these are its last values"
        assert page.until("return document.getElementById('live').textContent", ended) == ended


@pytest.fixture
def ctrl_c():
    """Ctrl-C ends a process that a test starts, although a test run in the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_the_command_says_where_and_ends_quietly_on_ctrl_c(tmp_path) -> None:
    start(tmp_path / "net", STAMP, 2)
    call = [*COMMAND, str(tmp_path)]
    process = subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env={**os.environ}
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("watching 1 run on http://127.0.0.1:")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()


# --- terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [20, 60, 100, 140])
def test_lines_fit_the_terminal_and_show_the_end_of_each_curve(tmp_path, columns) -> None:
    start(tmp_path / "one", STAMP, 64)
    start(tmp_path / "two", STAMP, 4)
    lines = screen_lines(Watcher([tmp_path]).look(), columns, 40)
    assert max(map(len, lines)) <= columns
    assert len(lines) == 6
    assert lines[0] == "one  iteration 64"
    assert lines[1].split()[0] == "loss"
    if columns >= 60:
        assert lines[1].split()[1][0] == "█" and lines[1].split()[1][-1] == "▁"
        assert lines[1].endswith("0.015625")
    assert not any(" time " in line for line in lines)
    few = screen_lines(Watcher([tmp_path]).look(), columns, 4, fancy=False)
    assert (len(few), few[-1]) == (4, "3 more lines")
    assert all(line.isascii() for line in few)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's")
@pytest.mark.timeout(60)
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("ending", ["q", "ctrl-c"])
def test_the_terminal_follows_a_run_and_is_left_as_it_was(tmp_path, ending) -> None:
    pyte = pytest.importorskip("pyte")
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    before = termios.tcgetattr(theirs)
    call = [*COMMAND, "--tui", "--interval", "0.1", str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        call, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environment
    )
    screen = pyte.Screen(60, 24)
    stream = pyte.ByteStream(screen)
    seen = b""

    def until(text: str) -> None:
        nonlocal seen
        while not any(text in line for line in screen.display):
            data = os.read(ours, 4096)
            seen += data
            stream.feed(data)

    try:
        until("nothing written yet")
        file = start(tmp_path / "net", STAMP, 2)
        until("net  iteration 2")
        append(file, 3)
        until("net  iteration 3")
        until("0.33333")
        assert screen.display[0].rstrip() == "net  iteration 3"
        if ending == "q":
            os.write(ours, b"q")
        else:
            os.killpg(process.pid, signal.SIGINT)
        while b"\x1b[?1049l" not in seen:
            seen += os.read(ours, 4096)
        assert process.wait(timeout=30) == 0
        assert seen.count(b"\x1b[?1049h") == seen.count(b"\x1b[?1049l") == 1
        assert b"Traceback" not in seen
        assert termios.tcgetattr(theirs)[3] == before[3]  # keys are echoed again
    finally:
        process.kill()
        process.wait(30)
        os.close(theirs)
        os.close(ours)


def test_in_a_pipe_the_runs_are_printed_once(tmp_path) -> None:
    start(tmp_path / "net", STAMP, 2)
    call = [*COMMAND, "--tui", str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "net  iteration 2"
    assert "\x1b" not in done.stdout
