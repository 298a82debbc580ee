"""eng.fileio beside the bare call and the reference.

ENG_BENCH_MB sets the size of the json and yaml files (default 100). PyYAML takes minutes and gigabytes for 100 MB of short
values, so the yaml file of that size holds long ones (captions), and one of short values has a twentieth of it. Peak
memory is the growth of a fresh process.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import eng.fileio as fileio
from eng.fileio.backends.registry_utils import BACKENDS

SIZE_MB = float(os.environ.get("ENG_BENCH_MB", "100"))

PEAK = """
import json, re, sys, time
import yaml, eng.fileio
def peak_kb():  # of this program; getrusage also counts the process that started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
how, path = sys.argv[1:]
before = peak_kb()
start = time.perf_counter()
if how == "ours": data = eng.fileio.load(path)
elif path.endswith("json"): data = json.load(open(path, encoding="utf-8"))
else: data = yaml.load(open(path, "rb"), Loader=yaml.CSafeLoader)
print(json.dumps([time.perf_counter() - start, peak_kb() - before]))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    return str(path)


def test_get_of_a_small_file(versus, small, reference):
    def bare():
        with open(small) as file:
            return file.read()

    versus("get, small local file / open().read()", lambda: fileio.get(small), bare, target="<= 1.3")
    theirs = reference(
        "import sys, timeit, json; from mmengine.fileio import get\n"
        "print(json.dumps(min(timeit.repeat(lambda: get(sys.argv[1]), number=2000, repeat=5)) / 2000 * 1e6))",
        small,
    )
    versus.report("get, small local file, reference", f"{theirs:.2f} us", "-", "")


def test_choosing_a_backend(versus):
    args = {"retries": 2}
    versus.per_call("choose, local path", lambda: BACKENDS.choose("a/b.json"), target="<= 1 us")
    versus.per_call("choose, s3 path", lambda: BACKENDS.choose("s3://bucket/a.json"), target="<= 1 us")
    versus.per_call("choose, http with options", lambda: BACKENDS.choose("http://x/a", args), target="<= 1 us")


def short_values(index):
    return f'{{"id": {index}, "bbox": [{index}.0, 2.25, 30.0, 40.0], "name": "an annotation of some length"}}'


def long_values(index):
    return f'{{"id": {index}, "caption": "{"a sentence on what this picture shows, in words; " * 18}"}}'


@pytest.mark.parametrize(
    ("suffix", "record", "megabytes"),
    [("json", short_values, SIZE_MB), ("yaml", long_values, SIZE_MB), ("yaml", short_values, SIZE_MB / 20)],
    ids=["json", "yaml-long-values", "yaml-short-values"],
)
def test_load_of_a_large_file(versus, tmp_path, suffix, record, megabytes, request):
    path = tmp_path / f"large.{suffix}"
    with path.open("w", encoding="utf-8") as file:
        for index in range(int(megabytes * 1e6 / (len(record(123456)) + 2))):
            file.write(
                f"{'[' if suffix == 'json' and not index else ',' if suffix == 'json' else '-'} {record(index)}\n"
            )
        file.write("]" if suffix == "json" else "")
    name = request.node.callspec.id
    runs = {"ours": [], "bare": []}
    for _ in range(3):
        for how, found in runs.items():
            done = subprocess.run([sys.executable, "-c", PEAK, how, path], capture_output=True, text=True, check=True)
            found.append(json.loads(done.stdout))
    (ours_s, ours_kb), (bare_s, bare_kb) = ((min(r[i] for r in runs[k]) for i in (0, 1)) for k in ("ours", "bare"))
    detail = f"{path.stat().st_size / 1e6:.0f} MB"
    versus.report(f"load {name}, time / bare", f"{ours_s / bare_s:.2f}x", "<= 1.0", f"{detail}, {ours_s:.2f} s")
    versus.report(f"load {name}, peak / bare", f"{ours_kb / bare_kb:.2f}x", "<= 1.1", f"{ours_kb / 1024:.0f} MiB")


def test_small_s3_objects_with_16_threads(versus, tmp_path):
    s3fs = pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    count, port = int(os.environ.get("ENG_BENCH_OBJECTS", "10000")), free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        options = {"key": "k", "secret": "s", "endpoint_url": f"http://127.0.0.1:{port}"}
        bare = s3fs.S3FileSystem(**options)
        for _ in range(100):
            try:
                bare.mkdir("bench")
                break
            except Exception:  # the server is starting; which error the client gives varies
                time.sleep(0.2)
        for index in range(100):
            fileio.put(b"x" * 1000, f"s3://bench/{index}", options)

        def read(get):
            start, cpu = time.perf_counter(), time.process_time()
            with ThreadPoolExecutor(16) as pool:
                assert all(len(c) == 1000 for c in pool.map(get, (i % 100 for i in range(count))))
            return time.perf_counter() - start, time.process_time() - cpu

        ours, ours_cpu = read(lambda i: fileio.get(f"s3://bench/{i}", options))
        theirs, _ = read(lambda i: bare.cat_file(f"bench/{i}"))
        detail = f"{count} reads in {ours:.1f} s, CPU share {ours_cpu / ours:.0%}"
        versus.report("s3, 16 threads / bare s3fs", f"{ours / theirs:.2f}x", "~ 1", detail)
    finally:
        server.terminate()
        server.wait(10)
