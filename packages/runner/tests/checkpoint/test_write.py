from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from eng.checkpoint import CheckpointWriteError, read_checkpoint, save_checkpoint, write_pointer, write_whole

HERE = Path(__file__).parent


BIG = {"meta": {"iter": 1}, "state_dict": {"w": torch.arange(100_000.0)}}


def in_child(action):
    """Exit status of a forked child that runs `action`: 0 where it raised CheckpointWriteError, as it should."""
    child = os.fork()
    if child == 0:
        status = 3
        try:
            action()
        except CheckpointWriteError as error:
            status = 0 if error.path.endswith("epoch_2.pth") else 4
        except BaseException:
            status = 5
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_plain_torch_load_reads_it(tmp_path):
    save_checkpoint(
        {"state_dict": torch.nn.Linear(2, 2).state_dict(), "meta": {"iter": 3}}, tmp_path / "deep" / "a.pth"
    )
    assert torch.load(tmp_path / "deep" / "a.pth")["meta"] == {"iter": 3}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.pth"]


def test_same_content_gives_the_same_bytes(tmp_path):
    for name in ("a.pth", "b.pth"):
        save_checkpoint(BIG, tmp_path / name)
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_both_kinds_of_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="file_client_args"):
        save_checkpoint(
            {}, tmp_path / "a.pth", file_client_args={"backend": "local"}, backend_args={"backend": "local"}
        )


@pytest.mark.timeout(120)
def test_killed_at_any_point_of_a_save_a_whole_checkpoint_is_found(tmp_path):
    done = subprocess.run(
        [sys.executable, str(HERE / "_fault_driver.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.strip().splitlines()[-1])
    assert result["points"] >= 50
    statuses, iterations, whole = zip(*result["found"], strict=True)
    assert set(statuses[:-1]) == {-signal.SIGKILL}
    assert statuses[-1] == 0
    assert all(whole)
    assert iterations[0] == 1
    assert iterations[-1] == 2
    assert list(iterations) == sorted(iterations), "once the new one was there, it stayed"
    assert result["left"] == 0, "what killed saves left behind is removed by the next save"


@pytest.mark.parametrize("limit", [0, 1000, 100_000, 399_000])
def test_a_full_disk_is_a_loud_error_and_leaves_the_old_file(tmp_path, limit):
    save_checkpoint({"meta": {"iter": 0}}, tmp_path / "epoch_1.pth")
    save_checkpoint({"meta": {"iter": 0}}, tmp_path / "epoch_2.pth")

    def save_with_little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        save_checkpoint(BIG, tmp_path / "epoch_2.pth")

    assert in_child(save_with_little_room) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_1.pth", "epoch_2.pth"]
    assert read_checkpoint(tmp_path / "epoch_2.pth")["meta"] == {"iter": 0}


def test_a_device_without_space_is_explained(tmp_path):
    def write(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CheckpointWriteError, match=r"No space left.*MB are free in"):
        write_whole(tmp_path / "a.pth", write)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_is_a_loud_error(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir(mode=0o555)

    def save_as_nobody():
        os.chdir(folder)  # the folders above are closed to others
        if os.geteuid() == 0:  # root may write everywhere
            os.setegid(65534)
            os.seteuid(65534)
        save_checkpoint(BIG, "epoch_2.pth")

    assert in_child(save_as_nobody) == 0
    assert list(folder.iterdir()) == []


def test_a_file_that_fails_its_check_never_gets_its_name(tmp_path, monkeypatch):
    save_checkpoint({"old": 1}, tmp_path / "a.pth")
    from eng.checkpoint import _write as module

    def corrupting(checkpoint, file):
        real(checkpoint, file)
        file.seek(file.tell() // 2)
        file.write(b"\xff" * 64)
        file.seek(0, 2)

    real = torch.save
    monkeypatch.setattr(module.torch, "save", corrupting)
    with pytest.raises(CheckpointWriteError, match="checksum"):
        save_checkpoint(BIG, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth") == {"old": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_partial_files_of_living_processes_stay(tmp_path):
    from eng.checkpoint._write import _host, _process

    mine = tmp_path / f".a.pth.{_host()}-{os.getpid()}-0123abcd.partial"
    gone = tmp_path / f".a.pth.{_host()}-{2**22 - 3}-0123abcd.partial"
    elsewhere = tmp_path / ".a.pth.otherhost-1-0123abcd.partial"
    written_now = tmp_path / f".a.pth.{_host()}-{_process(os.getpid())}-0123abcd.partial"
    earlier = tmp_path / f".a.pth.{_host()}-{os.getpid()}.00000000-0123abcd.partial"  # the number was given anew
    for path in (mine, gone, elsewhere, written_now, earlier):
        path.write_bytes(b"x")
    save_checkpoint({}, tmp_path / "b.pth")
    assert {path for path in tmp_path.iterdir() if path.suffix == ".partial"} == {mine, elsewhere, written_now}


def test_the_pointer_is_text(tmp_path):
    write_pointer(tmp_path, tmp_path / "epoch_1.pth")
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "epoch_1.pth")


def test_put_to_a_remote_storage_in_one_request():
    pytest.importorskip("fsspec")
    save_checkpoint(BIG, "memory://bucket/a.pth")
    loaded = read_checkpoint(
        __import__("io").BytesIO(__import__("eng.fileio", fromlist=["get"]).get("memory://bucket/a.pth"))
    )
    assert torch.equal(loaded["state_dict"]["w"], BIG["state_dict"]["w"])
