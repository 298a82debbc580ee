"""Servers that the tests talk to, and hygiene."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

import eng.fileio as fileio

HELPERS = Path(__file__).parent / "helpers"
# Spawned workers inherit sys.path, so that what they run can be imported there.
sys.path.insert(0, str(HELPERS))


@pytest.fixture(autouse=True)
def no_safe_load_from_outside(monkeypatch):
    monkeypatch.delenv("ENG_SAFE_LOAD", raising=False)


@pytest.fixture
def registries():
    """The tables of backends and handlers as they were, after the test."""
    from eng.fileio.backends.registry_utils import BACKENDS
    from eng.fileio.handlers.registry_utils import file_handlers

    saved = {name: dict(value) for name, value in vars(BACKENDS).items()}
    handlers = dict(file_handlers)
    yield
    for name, value in saved.items():
        setattr(BACKENDS, name, value)
    file_handlers.clear()
    file_handlers.update(handlers)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port}")


def serve(command: list[str], port: int):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def http_server(tmp_path_factory):
    """Address and folder of a server process that can also delay, fail and cut (see helpers/fault_server.py)."""
    root, port = tmp_path_factory.mktemp("http"), free_port()
    for _ in serve([sys.executable, str(HELPERS / "fault_server.py"), str(port), str(root)], port):
        yield f"http://127.0.0.1:{port}", root


@pytest.fixture(scope="session")
def memcached_server():
    """host:port of the real memcached."""
    program = shutil.which("memcached")
    if program is None:
        pytest.skip("memcached is not installed (apt-get install memcached)")
    port = free_port()
    command = [program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "512", "-I", "128m"]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    for _ in serve(command, port):
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="session")
def s3_options():
    """Storage options for s3fs, with moto's server behind them and a bucket named ``bucket``."""
    pytest.importorskip("moto")
    s3fs = pytest.importorskip("s3fs")
    port = free_port()
    for _ in serve([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        options = {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{port}"}
        s3fs.S3FileSystem(**options).mkdir("bucket")
        yield options


@pytest.fixture
def database(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    path = str(tmp_path / "db")
    with lmdb.open(path) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"k", b"v")
    return path


@pytest.fixture(scope="class")
def store(request):
    return request.cls.make_store(request.getfixturevalue, request.getfixturevalue("tmp_path_factory"))


@pytest.fixture(scope="class", params=["main", "fork", "spawn"])
def run(request, store):
    """Runs the case with that number; a worker gives the traceback of one that failed."""
    import storage_cases

    if request.param == "main":
        yield lambda number: storage_cases.CASES[number](store)
        return
    fileio.get(store.path("plain.bin"), store.backend_args)  # a client is open here before the worker starts
    context = multiprocessing.get_context(request.param)
    ours, theirs = context.Pipe()
    process = context.Process(target=storage_cases.worker, args=(store, theirs), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads about is what is tested
        process.start()

    def ask(number):
        ours.send(number)
        assert ours.poll(60), f"the {request.param}ed worker does not answer"
        return ours.recv()

    yield ask
    ours.send(None)
    process.join(10)
    if process.is_alive():
        process.kill()
