"""`eng ckpt`: files of real shapes, read and written without a model."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
import torch

from eng.checkpoint import (
    BrokenCheckpointError,
    compare_checkpoints,
    export_weights,
    list_checkpoints,
    save_checkpoint,
    summarize_checkpoint,
    write_pointer,
)
from eng.checkpoint._commands import ckpt


def checkpoint(iteration: int, value: float = 1.0, **more) -> dict:
    meta = {"epoch": iteration // 10, "iter": iteration, "time": "20260101_000000", "cfg": "a = 1\n" * 1000}
    weights = {"conv.weight": torch.full((2, 3), value), "bn.count": torch.tensor(7)}
    return {"meta": meta, "state_dict": weights, "optimizer": {"state": {}, "param_groups": []}, **more}


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """Three checkpoints, the last with an average; and one that was cut short."""
    for epoch in (1, 2, 10):
        save_checkpoint(checkpoint(10 * epoch, value=float(epoch)), tmp_path / f"epoch_{epoch}.pth")
    write_pointer(tmp_path, tmp_path / "epoch_10.pth")
    return tmp_path


@pytest.fixture
def averaged(tmp_path: Path) -> Path:
    """As an EMAHook saves it: the average under state_dict, the trained weights in the average's place."""
    trained = {"module.conv.weight": torch.full((2, 3), 5.0), "module.bn.count": torch.tensor(9)}
    steps = {"steps": torch.tensor(4)}
    save_checkpoint(checkpoint(10, ema_state_dict={**steps, **trained}), tmp_path / "averaged.pth")
    return tmp_path / "averaged.pth"


def cut_short(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-200])
    return path


# --- ls ------------------------------------------------------------------------------------------------------------


def test_ls_is_in_the_order_of_iterations_and_marks_the_last(work_dir: Path, call) -> None:
    status, said = call(ckpt, "ls", work_dir)
    assert status == 0
    assert [line.split()[0] for line in said.splitlines()] == ["file", "epoch_1.pth", "epoch_2.pth", "epoch_10.pth"]
    assert said.splitlines()[3].split() == [
        "epoch_10.pth",
        "10",
        "100",
        "20260101_000000",
        *said.split()[-3:-1],
        "last",
    ]


def test_ls_tells_what_is_broken(work_dir: Path, call) -> None:
    cut_short(work_dir / "epoch_2.pth")
    status, said = call(ckpt, "ls", work_dir, "--json")
    assert status == 1
    listed = {Path(one["path"]).name: one for one in json.loads(said)}
    assert "not a whole checkpoint" in listed["epoch_2.pth"]["problem"]
    assert listed["epoch_1.pth"]["problem"] is None
    assert listed["epoch_10.pth"]["is_last"]


def test_ls_of_an_empty_folder(tmp_path: Path, call, capsys) -> None:
    assert call(ckpt, "ls", tmp_path, "--json") == (0, "[]\n")
    assert call(ckpt, "ls", tmp_path) == (0, "")


def test_ls_of_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        list_checkpoints(tmp_path / "none")


# --- show ----------------------------------------------------------------------------------------------------------


def test_show_counts_and_leaves_long_texts_out(work_dir: Path, call) -> None:
    status, said = call(ckpt, "show", work_dir / "epoch_2.pth", "--weights")
    assert status == 0
    assert "weights: 2 tensors, 7 values" in said
    assert "meta.iter: 20" in said
    assert "a = 1" not in said
    assert "conv.weight  (2, 3)  float32" in said


def test_show_as_json(averaged: Path, call) -> None:
    found = json.loads(call(ckpt, "show", averaged, "--json")[1])
    assert found["num_values"] == 7
    assert found["has_average"]
    assert found["tensors"][1] == {"name": "bn.count", "shape": [], "dtype": "int64"}
    assert found["entries"]["ema_state_dict"] == 3


def test_show_of_bare_weights(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(3)}, tmp_path / "bare.pth")
    assert summarize_checkpoint(tmp_path / "bare.pth").num_values == 3


@pytest.mark.parametrize(
    ("write", "error", "words"),
    [
        (lambda path: None, FileNotFoundError, "no checkpoint file"),
        (lambda path: path.write_text("text"), BrokenCheckpointError, "not a whole checkpoint"),
        (lambda path: path.mkdir(), IsADirectoryError, "eng ckpt ls"),
        (lambda path: torch.save([torch.ones(1)], path), BrokenCheckpointError, "it holds a list, not a dict"),
        (lambda path: torch.save({"state_dict": 3}, path), BrokenCheckpointError, "state_dict' is a int"),
    ],
    ids=["missing", "text", "folder", "list", "no weights"],
)
def test_show_of_what_is_no_checkpoint(tmp_path: Path, write, error, words: str) -> None:
    write(tmp_path / "odd.pth")
    with pytest.raises(error, match=words):
        summarize_checkpoint(tmp_path / "odd.pth")


# --- verify --------------------------------------------------------------------------------------------------------


def test_verify(work_dir: Path, call) -> None:
    whole, broken = work_dir / "epoch_1.pth", cut_short(work_dir / "epoch_2.pth")
    assert call(ckpt, "verify", whole) == (0, f"{whole}: whole\n")
    status, said = call(ckpt, "verify", whole, broken, "--json")
    assert status == 1
    assert [one["whole"] for one in json.loads(said)] == [True, False]


def test_verify_finds_one_changed_byte(work_dir: Path, call) -> None:
    path = work_dir / "epoch_1.pth"
    data = bytearray(path.read_bytes())
    place = data.find(torch.full((2, 3), 1.0).numpy().tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert call(ckpt, "verify", path)[0] == 1


def test_verify_of_a_missing_file(tmp_path: Path, call) -> None:
    with pytest.raises(click.ClickException, match=r"there is no checkpoint file .*none\.pth"):
        call(ckpt, "verify", tmp_path / "none.pth")


# --- diff ----------------------------------------------------------------------------------------------------------


def test_diff_of_equal_weights(work_dir: Path, call) -> None:
    assert call(ckpt, "diff", work_dir / "epoch_1.pth", work_dir / "epoch_1.pth") == (0, "the weights are the same\n")


def test_diff_names_every_kind(tmp_path: Path, call) -> None:
    nan = torch.tensor([float("nan"), 1.0])
    first = {"a": torch.zeros(2), "b": torch.zeros(2), "c": torch.zeros(2), "d": torch.zeros(2), "n": nan, "m": nan}
    second = {"a": torch.tensor([0.0, 0.5]), "b": torch.zeros(3), "c": torch.zeros(2).double(), "e": torch.zeros(1)}
    second |= {"n": nan.clone(), "m": torch.ones(2)}
    torch.save(first, tmp_path / "first.pth")
    torch.save(second, tmp_path / "second.pth")
    found = {one.name: str(one) for one in compare_checkpoints(tmp_path / "first.pth", tmp_path / "second.pth")}
    assert found == {
        "a": "a: values differ by up to 0.5",
        "b": "b: shape (2,) and (3,)",
        "c": "c: dtype float32 and float64",
        "d": "d: only in the first (2,)",
        "m": "m: values differ by up to inf",
        "e": "e: only in the second (1,)",
    }
    status, said = call(ckpt, "diff", tmp_path / "first.pth", tmp_path / "second.pth", "--json")
    assert status == 1
    assert len(json.loads(said)) == 6


def test_diff_within_a_tolerance(work_dir: Path, call) -> None:
    words = ("diff", work_dir / "epoch_1.pth", work_dir / "epoch_2.pth", "--tolerance")
    assert call(ckpt, *words, 1.0)[0] == 0
    assert call(ckpt, *words, 0.9)[0] == 1


# --- publish -------------------------------------------------------------------------------------------------------


def test_publish_is_named_by_its_content(work_dir: Path, tmp_path: Path, call) -> None:
    path = Path(call(ckpt, "publish", work_dir / "epoch_1.pth", "--out-dir", tmp_path / "out")[1].strip())
    assert path.name == f"epoch_1-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"
    assert sorted(torch.load(path)) == ["meta", "state_dict"]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_publish_keys_that_are_not_there(work_dir: Path, call) -> None:
    with pytest.raises(KeyError, match="has none of nothing; it has meta"):
        call(ckpt, "publish", work_dir / "epoch_1.pth", "--keys", "nothing")


# --- export --------------------------------------------------------------------------------------------------------


def test_export_keeps_the_weights_alone(work_dir: Path, call) -> None:
    path = Path(call(ckpt, "export", work_dir / "epoch_2.pth")[1].strip())
    assert path == work_dir / "epoch_2-weights.pth"
    loaded = torch.load(path)
    assert sorted(loaded) == ["meta", "state_dict"]
    assert torch.equal(loaded["state_dict"]["conv.weight"], torch.full((2, 3), 2.0))


def test_export_to_safetensors_is_read_by_its_own_library(work_dir: Path, call) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    path = Path(call(ckpt, "export", work_dir / "epoch_2.pth", "--safetensors")[1].strip())
    assert path == work_dir / "epoch_2.safetensors"
    loaded = safetensors.load_file(path)
    assert torch.equal(loaded["conv.weight"], torch.full((2, 3), 2.0))
    assert loaded["bn.count"].item() == 7


def test_export_of_tied_and_strided_weights_to_safetensors(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    tied = torch.arange(6.0).reshape(2, 3)
    torch.save({"state_dict": {"a": tied, "b": tied, "c": tied.t()}}, tmp_path / "tied.pth")
    loaded = safetensors.load_file(export_weights(tmp_path / "tied.pth", tmp_path / "tied.safetensors"))
    assert torch.equal(loaded["a"], tied)
    assert torch.equal(loaded["b"], tied)
    assert torch.equal(loaded["c"], tied.t())


@pytest.mark.parametrize(
    ("options", "weight", "count"),
    [([], 1.0, 7), (["--ema"], 1.0, 7), (["--trained"], 5.0, 9)],
    ids=["stored", "average", "trained"],
)
def test_export_of_an_averaged_run(averaged: Path, tmp_path: Path, call, options, weight: float, count: int) -> None:
    call(ckpt, "export", averaged, tmp_path / "out.pth", *options)
    weights = torch.load(tmp_path / "out.pth")["state_dict"]
    assert torch.equal(weights["conv.weight"], torch.full((2, 3), weight))
    assert weights["bn.count"].item() == count
    assert sorted(weights) == ["bn.count", "conv.weight"]


def test_export_of_an_average_that_is_not_there(work_dir: Path, call) -> None:
    with pytest.raises(KeyError, match="holds no averaged weights"):
        call(ckpt, "export", work_dir / "epoch_1.pth", work_dir / "out.pth", "--ema")
    assert not (work_dir / "out.pth").exists()


def test_export_of_nothing(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "empty.pth")
    with pytest.raises(BrokenCheckpointError, match="no weights in it"):
        export_weights(tmp_path / "empty.pth", tmp_path / "out.pth")


def test_export_that_cannot_be_written_leaves_nothing(work_dir: Path) -> None:
    (work_dir / "file").touch()
    with pytest.raises(OSError, match="was not written"):
        export_weights(work_dir / "epoch_1.pth", work_dir / "file" / "out.pth")


def test_no_model_code_is_imported(work_dir: Path) -> None:
    program = (
        "import sys; from eng.checkpoint import export_weights, summarize_checkpoint; "
        f"export_weights({str(work_dir / 'epoch_1.pth')!r}, {str(work_dir / 'out.pth')!r}); "
        "print([name for name in ('eng.model', 'eng.runner.runner', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
