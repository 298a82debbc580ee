"""The local files of a run: numbers, images, and a disk that does not take them."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from visualization_parts import steps
from writers_local_parts import Disk

from eng.config import Config
from eng.visualization import LocalVisBackend
from eng.visualization.curves import Line


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.ESTALE], ids=["full", "broken", "stale"])
def test_lines_wait_for_the_disk(tmp_path, monkeypatch, caplog, error) -> None:
    disk = Disk(monkeypatch, error)
    backend = LocalVisBackend(str(tmp_path))
    backend.add_scalars({"loss": 1.0}, step=1)
    disk.room = 11  # a part of a line fits
    for step in range(2, 6):
        backend.add_scalars({"loss": 1.0}, step=step, file_path="log.json")
    assert caplog.text.count("cannot be written") == 2  # one for each of the two files
    disk.room = float("inf")
    backend.add_scalars({"loss": 1.0}, step=6, file_path="log.json")
    assert steps(tmp_path / "scalars.json") == [1, 2, 3, 4, 5, 6]
    assert steps(tmp_path / "log.json") == [2, 3, 4, 5, 6]


def test_the_end_of_a_run_tries_once_more_and_tells_what_is_lost(tmp_path, monkeypatch, caplog) -> None:
    disk = Disk(monkeypatch)
    backend = LocalVisBackend(str(tmp_path))
    disk.room = 0
    backend.add_scalar("loss", 1.0, step=1)
    backend.add_scalar("loss", 1.0, step=2)
    backend.close()
    assert "scalars.json could not be written: 2 lines of it are lost" in caplog.text
    disk.room = float("inf")
    backend.add_scalar("loss", 1.0, step=3)
    assert steps(tmp_path / "scalars.json") == [3]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_ends_no_run(tmp_path) -> None:
    tmp_path.chmod(0o500)
    LocalVisBackend(str(tmp_path / "a")).add_scalar("loss", 1.0, step=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_removed_is_made_again(tmp_path) -> None:
    backend = LocalVisBackend(str(tmp_path / "vis"))
    backend.add_scalar("loss", 1.0, step=1)
    (tmp_path / "vis" / "scalars.json").unlink()
    shutil.rmtree(tmp_path / "vis")
    backend.add_scalar("loss", 1.0, step=2)
    assert steps(tmp_path / "vis" / "scalars.json") == [2]


def test_images_config_and_earlier_curves_end_no_run_either(tmp_path, caplog) -> None:
    (tmp_path / "vis_image").write_text("a file in the place of the folder")
    (tmp_path / "config.py").mkdir()
    (tmp_path / "scalars.json.tmp").mkdir()
    backend = LocalVisBackend(str(tmp_path))
    with caplog.at_level(logging.WARNING):
        backend.add_image("cat", np.zeros((2, 2, 3), np.uint8))
        backend.add_config(Config({"a": 1}))
    for text in ("the image 'cat' is not written", "the config is not written"):
        assert text in caplog.text


def test_a_run_trains_and_saves_although_its_log_disk_is_full(make_runner, monkeypatch, tmp_path) -> None:
    disk = Disk(monkeypatch)
    runner = make_runner(default_hooks=dict(logger=dict(type="LoggerHook", interval=1)))
    disk.room = 100
    runner.train()
    assert runner.iter == 8
    assert (tmp_path / "run" / "epoch_2.pth").is_file()


ONE = [torch.tensor([0.5]), torch.tensor(0.5), torch.tensor([[0.5]]), np.array([0.5]), np.float32(0.5), np.array(0.5)]


@pytest.mark.parametrize("value", ONE, ids=repr)
def test_what_has_one_element_is_written_as_a_number(tmp_path, value) -> None:
    backend = LocalVisBackend(str(tmp_path))
    backend.add_scalar("loss", value, step=1)
    backend.add_scalars({"loss": value, "many": torch.zeros(2)}, step=2)
    first, second = map(json.loads, (tmp_path / "scalars.json").read_text().splitlines())
    assert first == {"loss": 0.5, "step": 1}
    assert second == {"loss": 0.5, "many": [0.0, 0.0], "step": 2}


IMAGES = {
    "(H,W)": np.full((4, 6), 9, np.uint8), "(H,W,1)": np.full((4, 6, 1), 9, np.uint8),
    "(H,W,3)": np.full((4, 6, 3), 9, np.uint8), "(H,W,4)": np.full((4, 6, 4), 9, np.uint8),
    "floats": np.full((4, 6, 3), 9.4, np.float32), "float64 (H,W)": np.full((4, 6), 8.6), "int64": np.full((4, 6), 9),
    "tensor": torch.full((4, 6, 3), 9, dtype=torch.uint8),
}  # fmt: skip


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_images_of_any_form_are_written(tmp_path, image) -> None:
    LocalVisBackend(str(tmp_path)).add_image("cat", image, step=3)
    picture = np.asarray(Image.open(tmp_path / "vis_image" / "cat_3.png"))
    assert picture.tolist() == np.full((4, 6, 3), 9).tolist()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../../up", "up_3.png"),
        ("{outside}/cat", "{outside}/cat_3.png"),
        ("a/../../b/c", "a/b/c_3.png"),
        ("a/b", "a/b_3.png"),
    ],
)
def test_the_name_of_an_image_leads_nowhere_but_down(tmp_path, name, file) -> None:
    outside = tmp_path / "data"
    outside.mkdir()
    folder = tmp_path / "run" / "vis"
    LocalVisBackend(str(folder)).add_image(name.format(outside=outside), np.zeros((2, 2, 3), np.uint8), step=3)
    below = file.format(outside=str(outside).lstrip("/"))
    assert list(tmp_path.rglob("*.png")) == [folder / "vis_image" / below]


def test_replayed_lines_forget_what_waits(tmp_path, monkeypatch) -> None:
    disk = Disk(monkeypatch)
    backend = LocalVisBackend(str(tmp_path))
    disk.room = 0
    backend.add_scalars({"loss": 1.0}, step=9)
    disk.room = float("inf")
    backend.replay([Line({"loss": 2.0}, 1, "iter", 1, "train")])
    backend.add_scalars({"loss": 3.0}, step=2)
    assert steps(tmp_path / "scalars.json") == [1, 2]
