"""Every tensor that torch.save writes comes back as torch.load gives it."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from old_checkpoints_parts import saved

from eng.checkpoint import BrokenCheckpointError, read_checkpoint

GRID = torch.arange(24.0).reshape(4, 6)


PARAMETER = torch.nn.Parameter(torch.ones(3))


def noted_parameter() -> torch.nn.Parameter:
    parameter = torch.nn.Parameter(torch.ones(3), requires_grad=False)
    parameter.note = "x"
    return parameter


TENSORS = {
    "plain": GRID, "view": GRID[1:, ::2], "transposed": GRID.t(), "expanded": torch.ones(1).expand(5),
    "empty": torch.empty(0, 3), "scalar": torch.tensor(5), "complex": torch.randn(3, dtype=torch.complex64),
    "conjugated": torch.randn(3, dtype=torch.complex64).conj(), "bool": torch.tensor([True, False]),
    "bfloat16": torch.randn(3).bfloat16(), "float8": torch.ones(4).to(torch.float8_e4m3fn),
    "uint16": torch.ones(3, dtype=torch.uint16), "parameter": PARAMETER, "with-attribute": noted_parameter(),
    "coo": torch.eye(3).to_sparse(), "csr": torch.eye(3).to_sparse_csr(), "random-state": torch.get_rng_state(),
    "needs-gradient": torch.ones(2, requires_grad=True),
}  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", TENSORS)
def test_tensors_come_back(name, zipped):
    tensor = TENSORS[name]
    loaded = read_checkpoint(saved(tensor, zipped))
    assert type(loaded) is type(tensor)
    assert (loaded.dtype, loaded.shape, loaded.layout) == (tensor.dtype, tensor.shape, tensor.layout)
    assert (loaded.requires_grad, loaded.is_conj()) == (tensor.requires_grad, tensor.is_conj())
    assert getattr(loaded, "note", None) == getattr(tensor, "note", None)
    if tensor.layout == torch.strided and tensor.numel():
        assert loaded.stride() == tensor.stride()
    dense = (t.detach().to_dense() if t.layout != torch.strided else t.detach() for t in (tensor, loaded))
    assert str(next(dense).tolist()) == str(next(dense).tolist())


@pytest.mark.parametrize("channels", [False, True], ids=["tensor", "channels"])
def test_quantized_tensors_come_back(channels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = torch.randn(4, 3)
        scales = (torch.full((4,), 0.1), torch.zeros(4, dtype=torch.long), 0)
        tensor = (
            torch.quantize_per_channel(plain, *scales, torch.quint8)
            if channels
            else torch.quantize_per_tensor(plain, 0.1, 3, torch.qint8)
        )
        loaded = read_checkpoint(saved(tensor, True))
        assert loaded.qscheme() == tensor.qscheme()
        assert torch.equal(loaded.int_repr(), tensor.int_repr())


def test_shared_memory_stays_shared():
    weight = torch.ones(3)
    loaded = read_checkpoint(saved({"a": weight, "b": weight, "tail": weight[1:]}, True))
    loaded["a"][2] = 7
    assert loaded["b"][2] == 7
    assert loaded["tail"][1] == 7


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("map_location", "device"),
    [(None, "cpu"), ("meta", "meta"), (torch.device("meta"), "meta"), ({"cpu": "meta"}, "meta"),
     (lambda storage, location: None, "cpu"), (lambda storage, location: storage, "cpu")],
    ids=["none", "text", "device", "dict", "function-of-none", "function"],
)  # fmt: skip
def test_map_location_is_that_of_torch(map_location, device, zipped):
    loaded = read_checkpoint(saved({"a": torch.arange(3)}, zipped), map_location)
    assert loaded["a"].device.type == device
    assert device == "meta" or loaded["a"].tolist() == [0, 1, 2]


def test_an_error_of_map_location_is_the_caller_s():
    def fail(storage, location):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        read_checkpoint(saved(torch.ones(1), True), fail)


def test_a_mapped_file_gives_the_same_values(tmp_path):
    torch.save({"a": GRID, "b": GRID.half()}, tmp_path / "a.pth")
    loaded = read_checkpoint(tmp_path / "a.pth", mmap=True)
    assert torch.equal(loaded["a"], GRID)
    assert torch.equal(loaded["b"], GRID.half())


def test_a_storage_without_a_tensor_is_refused():
    with pytest.raises(ValueError, match="UntypedStorage"):
        read_checkpoint(saved(torch.ones(3).untyped_storage(), True))


def test_a_file_of_a_big_endian_machine_is_read(tmp_path):
    import zipfile

    torch.save(torch.arange(3.0), tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as source, zipfile.ZipFile(tmp_path / "b.pth", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("byteorder"):
                data = b"big"
            if name.endswith("data/0"):
                data = np.frombuffer(data, "<f4").astype(">f4").tobytes()
            target.writestr(name, data)
    assert read_checkpoint(tmp_path / "b.pth").tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(BrokenCheckpointError, match="storage"):
        read_checkpoint(io.BytesIO((tmp_path / "b.pth").read_bytes().replace(b"data/0", b"data/9")))
