from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
from dist_parts import rank_1

import eng.dist as dist
from eng.dist._port_file import port_file, publish_port, read_port
from eng.dist._rendezvous import open_store

SHORT = timedelta(seconds=1)


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_published_port_is_read_and_removed_afterwards(own_folder: Path) -> None:
    path = port_file("slurm-17.0")
    assert read_port(path) is None
    with publish_port(1234, path):
        assert read_port(path) == 1234
        assert path.stat().st_mode & 0o777 == 0o600
    assert list(own_folder.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_port_file_of_another_user_is_refused(own_folder: Path) -> None:
    path = port_file("slurm-17.0")
    path.write_text("1234")
    os.chown(path, 4242, 4242)
    with pytest.raises(dist.ForeignFileError, match=f"{re.escape(str(path))}.* belongs to another user"):
        open_store(rank_1(None, "slurm-17.0"), SHORT)


def test_port_file_that_is_a_link_is_refused(own_folder: Path) -> None:
    path = port_file("slurm-17.0")
    (own_folder / "target").write_text("1234")
    path.symlink_to(own_folder / "target")
    with pytest.raises(dist.ForeignFileError, match="is a link"):
        open_store(rank_1(None, "slurm-17.0"), SHORT)
