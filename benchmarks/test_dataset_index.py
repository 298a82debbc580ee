"""BaseDataset with a million samples beside MMEngine: time, peak memory, and the share of each process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LENGTH = 1_000_000
SCRIPT = """
import json, sys, time
from {package}.dataset import BaseDataset
import {package}.fileio

def peak():
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here, without the imports
base = next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmRSS"))
started = time.perf_counter()
dataset = BaseDataset(sys.argv[1], data_prefix=dict(img_path="train"), data_root="data")
seconds = time.perf_counter() - started
memory = peak() - base
assert len(dataset) == int(sys.argv[2]) and dataset.get_data_info(7)["img_path"].startswith("data/train/")
import timeit
each = min(timeit.repeat(lambda: dataset[4321], number=2000, repeat=5)) / 2000
print(json.dumps(dict(seconds=seconds, mib=memory, item_us=each * 1e6)))
"""


@pytest.fixture(scope="module")
def annotations(tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("index") / "train.json"
    data = [
        {"img_path": f"folder_{i % 100}/image_{i:08d}.jpg", "label": i % 1000, "box": [i % 7, 3, 20, 40]}
        for i in range(LENGTH)
    ]
    file.write_text(json.dumps({"metainfo": {"classes": ["a"]}, "data_list": data}))
    return str(file)


def ours(file: str) -> dict:
    script = SCRIPT.format(package="eng")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, file, str(LENGTH)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.timeout(300)
def test_a_million_samples_beside_the_reference(versus, reference, annotations):
    mine = [ours(annotations) for _ in range(2)]
    theirs = [reference(SCRIPT.format(package="mmengine"), annotations, str(LENGTH)) for _ in range(2)]
    seconds, other = min(x["seconds"] for x in mine), min(x["seconds"] for x in theirs)
    versus.report(
        "BaseDataset of 1 M samples, time",
        f"{other / seconds:.2f}x",
        ">= 2 faster",
        f"{seconds:.2f} s against {other:.2f} s",
    )
    memory, more = min(x["mib"] for x in mine), min(x["mib"] for x in theirs)
    versus.report(
        "BaseDataset of 1 M samples, peak memory",
        f"{memory / more:.2f}x",
        "<= 0.6",
        f"{memory:.0f} MiB against {more:.0f} MiB",
    )
    each, each_other = min(x["item_us"] for x in mine), min(x["item_us"] for x in theirs)
    versus.report(
        "BaseDataset.__getitem__ without pipeline", f"{each:.1f} us", "<= 15", f"MMEngine: {each_other:.1f} us"
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_one_copy_of_a_million_samples_for_ten_processes(versus, method, tmp_path):
    folder = Path(__file__).parents[1] / "packages" / "runner" / "tests" / "dataset"
    env = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "LOCAL_WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(folder),
    }
    command = [sys.executable, str(folder / "dataset_workers.py"), method, str(LENGTH), "4", str(tmp_path)]
    ranks = [
        subprocess.Popen(command, env={**env, "LOCAL_RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    reports = [json.loads(process.communicate(timeout=280)[0].strip().splitlines()[-1]) for process in ranks]
    share, size = sum(report["pss"] for report in reports), reports[0]["size"]
    versus.report(
        f"PSS of 2 ranks x 4 workers, {method}",
        f"{share / size:.2f}x",
        "<= 1.2",
        f"{share / 1024:.0f} MiB of an index of {size / 1024:.0f} MiB",
    )
