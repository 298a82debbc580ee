"""Models with activation checkpointing: what copies and files of them compute."""

from __future__ import annotations

import copy
import inspect
import io

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import distribute_module, distribute_tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from eng.runner import activation_checkpointing
from eng.runner.activation_checkpointing import turn_on_activation_checkpointing
from eng.runner.errors import SettingsError


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Linear(3, 1))
    turn_on_activation_checkpointing(net, ["1"])
    return net


def saved_and_loaded(net: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, saved_and_loaded, lambda net: saved_and_loaded(copy.deepcopy(net))])
def test_a_copy_computes_with_its_own_weights(copied) -> None:
    net = network()
    other = copied(net)
    batch = torch.randn(4, 2)
    assert torch.equal(other(batch), net(batch))
    before = net(batch).detach()
    with torch.no_grad():
        for parameter in other[1].parameters():
            parameter.zero_()
    assert torch.equal(net(batch), before)
    assert torch.equal(other(batch), other[2].bias.expand(4, 1))


def test_a_copy_recomputes_its_activations_too() -> None:
    other = copy.deepcopy(network())
    calls = []
    other[1][0].register_forward_hook(lambda *_: calls.append(1))
    other(torch.randn(4, 2)).sum().backward()
    assert len(calls) == 2


def test_turned_on_twice_it_computes_once_more_only() -> None:
    net = network()
    turn_on_activation_checkpointing(net, "1")
    calls = []
    net[1][0].register_forward_hook(lambda *_: calls.append(1))
    net(torch.randn(4, 2)).sum().backward()
    assert len(calls) == 2
    assert list(inspect.signature(net[1].forward).parameters) == ["input"]


def test_a_forward_that_was_set_on_one_module_is_kept() -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    net[0].forward = lambda batch: batch + 1
    turn_on_activation_checkpointing(net, "0")
    assert torch.equal(net(torch.zeros(1, 2)), torch.ones(1, 2))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.drop = nn.Linear(16, 64), nn.Linear(64, 16), nn.Dropout(0.1)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch + self.drop(self.down(torch.nn.functional.gelu(self.up(batch)).square()))


class Watch(TorchDispatchMode):
    """Counts matrix products, and the bytes of all results but views of weights that are alive."""

    def __init__(self, weights: list[nn.Parameter]) -> None:
        super().__init__()
        self.products = 0
        self._weights = {weight.untyped_storage().data_ptr() for weight in weights}
        self._storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.products += func in (torch.ops.aten.addmm.default, torch.ops.aten.mm.default)
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple) else [result]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in self._weights:
                    self._storages[storage.data_ptr()] = (StorageWeakRef(storage), storage.nbytes())
        return result

    def alive_bytes(self) -> int:
        return sum(size for storage, size in self._storages.values() if not storage.expired())


def one_step(setting) -> tuple[list[torch.Tensor], int, int]:
    """Gradients of a step, bytes that wait for the backward pass, and matrix products of the backward pass."""
    torch.manual_seed(0)
    net = nn.ModuleDict({"layers": nn.ModuleList([Block() for _ in range(4)]), "head": nn.Linear(16, 1)})
    turn_on_activation_checkpointing(net, setting)
    batch = torch.randn(32, 16)
    with Watch(list(net.parameters())) as watch:
        torch.manual_seed(1)
        hidden = batch
        for layer in net["layers"]:
            hidden = layer(hidden)
        loss = net["head"](hidden).sum()
        del hidden
        kept, forward = watch.alive_bytes(), watch.products
        loss.backward()
    return [parameter.grad for parameter in net.parameters()], kept, watch.products - forward


def test_patterns_and_operators_trade_computing_for_memory_and_no_bit_of_the_gradients() -> None:
    plain, all_bytes, products = one_step(None)
    recomputed, few_bytes, more_products = one_step("layers.*")
    selective, some_bytes, same_products = one_step(dict(modules=["layers.*"], keep="matmul"))
    for gradients in (recomputed, selective):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(gradients, plain, strict=True))
    # Two products for each of nine layers, but one for the first, whose input needs no gradient; eight are computed again.
    assert (products, more_products, same_products) == (17, 17 + 8, 17)
    assert few_bytes < some_bytes < all_bytes
    # Kept for each block: its input of 32 x 16 float32, and with `keep` the products of 32 x 64 and 32 x 16. The first input is no
    # result, but the head's is, and the loss.
    block, product = 32 * 16 * 4, 32 * (64 + 16) * 4
    assert few_bytes == 4 * block + 4
    assert some_bytes == few_bytes + 4 * product


def test_a_list_of_operators_is_read_with_their_overloads() -> None:
    gradients, _, products = one_step(dict(modules="layers", keep=["aten.addmm.default", "aten.gelu"]))
    assert products == 17
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(gradients, one_step(None)[0], strict=True))


@pytest.mark.parametrize("recompute", [True, False])
def test_what_is_offloaded_lies_in_copies_and_comes_back(monkeypatch, recompute: bool) -> None:
    copies = []
    to_host = activation_checkpointing._to_host

    def follow(tensor, *, weights):
        packed = to_host(tensor, weights=weights)
        copies.append((tensor, packed, weights))
        return packed

    monkeypatch.setattr(activation_checkpointing, "_is_on_host", lambda tensor: False)
    monkeypatch.setattr(activation_checkpointing, "_to_host", follow)
    gradients, _, _ = one_step(dict(modules=["layers.*"], offload=True, recompute=recompute))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(gradients, one_step(None)[0], strict=True))
    copies = [copy for copy in copies if copy[0].numel()]  # torch 2.9 stores an empty tensor beside
    stayed = [tensor for tensor, packed, _ in copies if isinstance(packed, torch.Tensor)]
    moved = [(tensor, packed[1]) for tensor, packed, _ in copies if not isinstance(packed, torch.Tensor)]
    assert len(stayed) == (0 if recompute else 7)  # the weights of the layers; the first input needs no gradient
    assert moved and all(ours.data_ptr() != theirs.data_ptr() for ours, theirs in moved)
    assert all(tensor.untyped_storage().data_ptr() in weights for tensor, packed, weights in copies if packed is tensor)


@pytest.fixture
def mesh():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@pytest.mark.parametrize("recompute", [True, False])
def test_offload_leaves_distributed_tensors_where_they_are(mesh, monkeypatch, recompute: bool) -> None:
    monkeypatch.setattr(activation_checkpointing, "_is_on_host", lambda tensor: False)

    def gradients(setting) -> list[torch.Tensor]:
        torch.manual_seed(0)
        net = nn.Sequential(Block().eval(), Block().eval())
        distribute_module(net, mesh)
        turn_on_activation_checkpointing(net, setting)
        net(distribute_tensor(torch.randn(4, 16), mesh)).sum().backward()
        return [parameter.grad.to_local() for parameter in net.parameters()]

    offloaded = gradients(dict(modules=["*"], offload=True, recompute=recompute))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(offloaded, gradients(None), strict=True))


def test_a_selective_copy_keeps_its_operators() -> None:
    net = nn.Sequential(Block())
    turn_on_activation_checkpointing(net, dict(modules="0", keep="matmul"))
    batch = torch.randn(4, 16, requires_grad=True)
    for other in (copy.deepcopy(net), saved_and_loaded(net)):
        with Watch([]) as watch:
            loss = other.eval()(batch).sum()
            forward = watch.products
            loss.backward()
        assert (forward, watch.products) == (2, 2 + 4)


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        (dict(modules=["0"], keeps="matmul"), SettingsError, "takes no 'keeps'; did you mean 'keep'"),
        (dict(keep="matmul"), SettingsError, r"needs modules, such as \['layers.\*'\]; it has \['keep'\]"),
        (dict(modules=None), SettingsError, r"takes names of modules, such as \['layers.\*'\], got None"),
        (dict(modules=[0]), SettingsError, r"takes names of modules, such as \['layers.\*'\], got \[0\]"),
        (3, SettingsError, r"takes names of modules, such as \['layers.\*'\], got 3"),
        (dict(modules="0", keep="matmull"), SettingsError, "'matmull' is no operator of torch; did you mean 'matmul'"),
        (dict(modules="0", recompute=False), SettingsError, "recompute=False keeps everything"),
        (dict(modules="0", recompute=False, offload=True, keep="matmul"), SettingsError, "without keep"),
        (dict(modules="1"), ValueError, "activation_checkpointing names '1', which Sequential lacks"),
    ],
)
def test_settings_that_say_nothing_are_refused(setting, error, message) -> None:
    with pytest.raises(error, match=message):
        turn_on_activation_checkpointing(nn.Sequential(Block()), setting)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("recompute", [True, False])
def test_offloaded_activations_leave_the_gpu(recompute: bool) -> None:
    allocated = {}
    for setting in (None, dict(modules=["*"], recompute=recompute, offload=True)):
        torch.manual_seed(0)
        net = nn.Sequential(*[Block() for _ in range(4)]).cuda().eval()
        turn_on_activation_checkpointing(net, setting)
        before = torch.cuda.memory_allocated()
        loss = net(torch.randn(4096, 16, device="cuda", requires_grad=True)).sum()
        allocated[str(setting)] = torch.cuda.memory_allocated() - before
        loss.backward()
    plain, offloaded = allocated.values()
    assert offloaded < plain / 4
