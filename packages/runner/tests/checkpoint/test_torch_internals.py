"""Each function on the names of torch that it hides: a torch that renames one of them fails here."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from eng.checkpoint import torch_internals


class Shared(nn.Module):
    """Holds one layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.second = nn.Linear(1, 1, bias=False)


def test_module_versions_are_those_that_torch_writes_and_reads():
    state = nn.BatchNorm1d(1).state_dict()
    assert torch_internals.module_versions(state) == {"": {"version": 2}}
    assert torch_internals.module_versions({}) is None
    # Version 1 has no num_batches_tracked, which torch adds; version 2 without it lacks a key.
    del state["num_batches_tracked"]
    for version, missing in ((1, []), (2, ["num_batches_tracked"])):
        copied = OrderedDict(state)
        torch_internals.set_module_versions(copied, {"": {"version": version}})
        assert nn.BatchNorm1d(1).load_state_dict(copied, strict=False).missing_keys == missing


def test_entries_are_loaded_and_hooks_run_as_load_state_dict_does():
    class Renaming(nn.Linear):
        def _load_from_state_dict(self, state, prefix, *args):
            state[f"{prefix}weight"] = state.pop(f"{prefix}old")
            super()._load_from_state_dict(state, prefix, *args)

    layer = Renaming(1, 1)
    layer.register_load_state_dict_post_hook(lambda _, keys: keys.missing_keys.remove("a.bias"))
    state = OrderedDict({"a.old": torch.tensor([[5.0]]), "a.more": torch.zeros(1)})
    missing, unexpected, errors = [], [], []
    torch_internals.load_entries(layer, state, "a.", {}, missing, unexpected, errors)
    assert layer.weight.item() == 5.0
    assert (missing, unexpected, errors) == (["a.bias"], ["a.more"], [])
    torch_internals.run_load_hooks(layer, missing, unexpected)
    assert missing == []


def test_child_modules_have_a_shared_one_twice():
    model = Shared()
    assert [name for name, _ in torch_internals.child_modules(model)] == ["first", "second"]
    assert [name for name, _ in model.named_children()] == ["first"]


def test_compiled_module_is_the_one_inside():
    layer = nn.Linear(1, 1)
    assert torch_internals.compiled_module(torch.compile(layer, backend="eager")) is layer
    assert torch_internals.compiled_module(layer) is None


def test_compile_call_compiles_a_container_of_torch_in_place():
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    torch_internals.compile_call(model, {"backend": backend, "fullgraph": True})
    model(torch.ones(1, 1))
    assert len(graphs) == 1
    assert list(model.state_dict()) == ["0.weight", "0.bias"]


@pytest.mark.parametrize("raises", [False, True])
def test_recompile_limit_is_torchs(raises):
    import torch._dynamo

    with torch._dynamo.config.patch(recompile_limit=8, fail_on_recompile_limit_hit=not raises):
        torch_internals.set_recompile_limit(3, raises)
        assert torch._dynamo.config.recompile_limit == 3
        assert torch._dynamo.config.fail_on_recompile_limit_hit is raises
        torch_internals.set_recompile_limit(None, raises)
        assert torch._dynamo.config.recompile_limit == 3


def test_tensors_are_copied_in_place():
    targets, sources = [torch.zeros(2), torch.ones(1)], [torch.ones(2), torch.full((1,), 3.0)]
    torch_internals.copy_tensors(targets, sources)
    assert [target.tolist() for target in targets] == [[1.0, 1.0], [3.0]]
    torch_internals.copy_tensors([], [])


def test_write_count_grows_with_each_write():
    tensor = torch.zeros(1)
    before = torch_internals.write_count(tensor)
    tensor += 1
    assert torch_internals.write_count(tensor) == before + 1


def test_an_iterator_tells_that_the_stream_ended_inside_its_last_batch():
    class Three(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    batches = iter(DataLoader(Three(), batch_size=2))
    ended = [(next(batches).tolist(), torch_internals.has_met_end(batches)) for _ in range(2)]
    assert ended == [([0, 1], False), ([2], True)]
    assert torch_internals.has_met_end(iter([])) is False


def test_the_checkpoint_process_of_torch_is_taken(monkeypatch):
    from torch.distributed.checkpoint import _async_process_executor as executor

    assert torch_internals.take_checkpoint_process() == ()
    process = object()
    monkeypatch.setattr(executor, "_CHECKPOINT_PROCESS", SimpleNamespace(_save_process=process))
    assert torch_internals.take_checkpoint_process() == (process,)
    assert executor._CHECKPOINT_PROCESS is None


def test_metrics_of_compilations_are_those_of_the_compiler():
    torch._dynamo.reset()
    count = len(torch_internals.compilation_metrics())
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1))
    metrics = torch_internals.compilation_metrics()
    assert len(metrics) == count + 1
    assert metrics[-1].fail_reason is None


def test_a_convolution_takes_other_weights_and_pads_as_its_module_does():
    conv, other = (nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect") for _ in range(2))
    calls = []
    conv.register_forward_hook(lambda *_: calls.append(1))
    x = torch.randn(1, 2, 5, 5)
    assert torch.equal(torch_internals.convolve(conv, x, other.weight, other.bias), other(x))
    assert not calls
