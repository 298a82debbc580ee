from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys

import pytest

import eng.fileio as fileio


def test_an_exception_leaves_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fails_inside():
        with fileio.atomic_write(target) as file:
            file.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_inside()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755], ids=oct)
def test_the_mode_of_the_target_is_kept(tmp_path, mode):
    target = tmp_path / "a.txt"
    target.write_text("old")
    target.chmod(mode)
    fileio.put(b"new", target)
    assert stat.S_IMODE(target.stat().st_mode) == mode


def test_a_new_file_gets_the_mode_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        fileio.put(b"x", tmp_path / "new" / "a.txt")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "a.txt").stat().st_mode) == 0o640


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    fileio.put(b"new", tmp_path / "link.txt")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


def test_a_device_is_written_directly():
    fileio.put(b"x", os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_directory_as_target_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a directory; name the file") as caught:
        fileio.put(b"x", tmp_path)
    assert (caught.value.errno, caught.value.filename) == (errno.EISDIR, os.path.realpath(tmp_path))


def test_other_modes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="mode is 'w' or 'wb', not 'a'"), fileio.atomic_write(tmp_path / "a", "a"):
        pass


def test_a_full_disk_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    # A limit on the size of files fails a write half-way, as a full disk does, without needing one.
    script = (
        "import resource, signal, sys, eng.fileio as f\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
        "try: f.put(bytes(1 << 20), sys.argv[1])\n"
        "except OSError as error: print(type(error).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, target], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "OSError\n"
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_no_space_at_the_flush_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fileio.dump({"a": 1}, target, file_format="json")
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
