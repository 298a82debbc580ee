from __future__ import annotations

import copy
import gc
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dataset_workers import Numbers, mapped_pss_kib

from eng.dataset import _shared_array
from eng.dataset._serialize import pack

SCRIPT = str(Path(__file__).with_name("dataset_workers.py"))


def start_rank(method: str, length: int, workers: int, folder: Path, rank: int, world: int) -> subprocess.Popen:
    env = {
        **os.environ,
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(world),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, SCRIPT, method, str(length), str(workers), str(folder)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.timeout(330)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="asks Linux for the shares")
def test_one_copy_per_machine_for_ranks_and_workers(method, tmp_path):
    workers = 4 if method == "fork" else 2
    ranks = [start_rank(method, 100_000, workers, tmp_path, rank, 2) for rank in range(2)]
    reports = []
    for process in ranks:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err[-2000:]
        reports.append(json.loads(out.strip().splitlines()[-1]))
    assert sum(report["pss"] for report in reports) <= 1.2 * reports[0]["size"]
    assert (
        sum(report["pss"] for report in reports) >= 0.8 * reports[0]["size"]
    )  # it is there, and it is what we measured
    assert all(report["labels"] == [3] * workers for report in reports)


def test_packing_empties_the_list_it_is_given():
    records = [{"a": 1}] * 3
    pack(records)
    assert records == []


def test_index_cannot_be_written_to():
    data, _ = pack([1, 2])
    with pytest.raises(ValueError, match="read-only"):
        data[0] = 1


def test_pickle_and_deepcopy_keep_the_numbers():
    data, ends = pack([1, 2])
    loaded = pickle.loads(pickle.dumps((data, ends)))
    assert [type(array) for array in loaded] == [np.ndarray, np.ndarray]
    assert loaded[0].tolist() == data.tolist() and loaded[1].tolist() == ends.tolist()
    assert copy.deepcopy(data) is data
    assert copy.deepcopy(data[:2]).tolist() == data[:2].tolist()


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="asks Linux for the shares")
def test_memory_goes_with_the_dataset():
    dataset = Numbers(2000)
    before = len(os.listdir("/proc/self/fd"))
    shown, share = dataset.data_bytes.sum(), mapped_pss_kib()
    assert shown > 0 and share > 0
    del dataset
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) < before
    assert mapped_pss_kib() < share


def test_second_rank_adopts_the_first_ranks_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(_shared_array.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    first, second = Numbers(50), Numbers(50)
    inode = [os.fstat(d.data_bytes.source[0].descriptor).st_ino for d in (first, second)]
    assert inode[0] == inode[1]
    other = Numbers(51)
    assert os.fstat(other.data_bytes.source[0].descriptor).st_ino != inode[0]
    assert second[49]["label"] == 0


def test_stale_and_foreign_links_are_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(_shared_array.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    first = Numbers(50)
    (link,) = (tmp_path / f"eng-dataset-{os.getuid()}").iterdir()
    del first
    gc.collect()
    link.unlink()
    planted = tmp_path / "planted"
    planted.write_bytes(b"not the index")
    link.symlink_to(planted)
    dataset = Numbers(50)
    assert dataset[49]["label"] == 0
    assert link.readlink() != planted
    del dataset
    gc.collect()
    assert Numbers(50)[1]["label"] == 1


def test_folder_that_others_can_write_to_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(_shared_array.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    folder = tmp_path / f"eng-dataset-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    assert Numbers(5)[1]["label"] == 1
    assert list(folder.iterdir()) == []


def test_without_memory_files_an_unlinked_file_serves(monkeypatch):
    monkeypatch.delattr(_shared_array.os, "memfd_create")
    dataset = Numbers(5)
    assert dataset[4]["label"] == 4
