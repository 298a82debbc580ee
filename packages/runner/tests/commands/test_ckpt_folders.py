"""Sharded checkpoints and safetensors: `eng ckpt` reads and writes them, a block of a tensor at a time."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ckpt_folders_parts import assert_weights, tensors, write_shards

from eng.checkpoint import publish_checkpoint, save_checkpoint
from eng.checkpoint._commands import ckpt
from eng.checkpoint._stored import BLOCK_BYTES
from eng.runner.strategy import export_to_file


def test_ls_and_show_and_verify(folder: Path, call) -> None:
    status, text = call(ckpt, "ls", folder.parent)
    assert status == 0
    assert text.splitlines()[1].split()[:3] == ["epoch_2.pth", "2", "20"]
    shown = json.loads(call(ckpt, "show", folder, "--json")[1])
    assert shown["num_values"] == 21 + 60 + 8 + 1 + 4 + 2
    assert shown["has_average"]
    assert {"name": "columns", "shape": [3, 10, 2], "dtype": "float32"} in shown["tensors"]
    assert shown["size_bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    assert call(ckpt, "verify", folder) == (0, f"{folder}: whole\n")


def test_export_and_diff(folder: Path, tmp_path: Path, call) -> None:
    one = tmp_path / "one.pth"
    assert call(ckpt, "export", folder, one) == (0, f"{one}\n")
    loaded = torch.load(one)
    assert loaded["meta"]["iter"] == 20
    assert_weights(loaded["state_dict"])
    assert_weights(torch.load(one, mmap=True)["state_dict"])
    assert call(ckpt, "verify", one)[0] == 0
    assert call(ckpt, "diff", folder, one) == (0, "the weights are the same\n")
    assert call(ckpt, "export", folder, tmp_path / "trained.pth", "--trained")[0] == 0
    assert_weights(torch.load(tmp_path / "trained.pth")["state_dict"], 2.0)
    status, text = call(ckpt, "diff", folder, tmp_path / "trained.pth", "--json")
    assert status == 1
    assert {entry["name"] for entry in json.loads(text)} == {"rows", "columns", "half"}


def test_publish_is_named_by_its_content(folder: Path, tmp_path: Path) -> None:
    path = Path(publish_checkpoint(folder, out_dir=tmp_path / "out"))
    assert path.name == f"epoch_2-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert_weights(torch.load(path)["state_dict"])


def test_sizes_of_files(tmp_path: Path, folder: Path, call) -> None:
    import click

    with pytest.raises(click.BadParameter, match="expected a size such as 500MB or 5GB, got 'much'"):
        call(ckpt, "export", folder, tmp_path / "x", "--max-file-size", "much")


MEASURE = """
import json, sys
from pathlib import Path
from eng.checkpoint import export_weights
from eng.runner.strategy import export_to_file

def status(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) * 1024

exports = {
    "all.pth": export_to_file,
    "weights.pth": export_weights,
    "weights.safetensors": export_weights,
    "hub": lambda source, target: export_weights(source, target, max_file_bytes=10**7),
}
source, small, target = sys.argv[1:]
peaks = {}
for name, export in exports.items():
    export(small, f"{target}/small-{name}")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    export(source, f"{target}/{name}")
    peaks[name] = status("VmHWM") - before
print(json.dumps(peaks))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_an_export_takes_less_memory_than_one_shard(big: tuple[Path, Path], tmp_path: Path) -> None:
    source, small = big
    words = [sys.executable, "-c", MEASURE, str(source), str(small), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=True)
    largest = max(path.stat().st_size for path in source.glob("*.distcp"))
    assert largest > 4 * BLOCK_BYTES
    peaks = json.loads(done.stdout)
    assert sorted(peaks) == ["all.pth", "hub", "weights.pth", "weights.safetensors"]
    assert {name: peak for name, peak in peaks.items() if peak > 1.2 * largest} == {}
    print(f"peaks in MB: {peaks}, largest shard {largest}")


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint of 4 shards of 18 MiB, most of it in one tensor, and a small one."""
    folders = []
    for name, width in (("big", 1152), ("small", 8)):
        folder = tmp_path_factory.mktemp("folders") / name
        values = {
            "state_dict/embedding": torch.ones(12 * 1024, width),
            "state_dict/columns": torch.ones(width, 4 * 1024),
        }
        write_shards(folder, values, {"state_dict/columns": 1}, 4)
        weights = {key.partition("/")[2]: f"sharded tensor: {key}" for key in values}
        save_checkpoint({"meta": {}, "state_dict": weights}, folder / "common.pth")
        folders.append(folder)
    return folders[0], folders[1]


def test_export_to_file_keeps_everything(folder: Path, tmp_path: Path) -> None:
    export_to_file(str(folder), str(tmp_path / "all.pth"))
    loaded = torch.load(tmp_path / "all.pth")
    assert sorted(loaded) == ["ema_state_dict", "meta", "state_dict"]
    assert torch.equal(loaded["ema_state_dict"]["module.columns"], tensors()["columns"] * 2)
