"""OptimWrapper: updates, exact accumulation, clipping, steps that are skipped, and mistakes."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from optim_ranks import mlp
from torch import nn

from eng.optim import AmpOptimWrapper, OptimWrapper


def mean_loss(model, inputs):
    return (model(inputs).float() - 1).pow(2).mean()


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def sgd(model, lr=0.5):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


class ScaledWrapper(AmpOptimWrapper):
    """In float32, with the losses scaled as in float16."""

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", loss_scale={"init_scale": 1024.0, "enabled": True}, **kwargs)


WRAPPERS = pytest.mark.parametrize("wrapper_type", [OptimWrapper, ScaledWrapper], ids=["plain", "scaler"])


CLIPS = pytest.mark.parametrize(
    "clip_grad", [None, {"max_norm": 0.05}, {"clip_value": 0.01}], ids=["no clip", "norm", "value"]
)


def one_big_batch(batches, wrapper_type, clip_grad):
    model = mlp()
    wrapper = wrapper_type(optimizer=sgd(model), clip_grad=clip_grad)
    for batch in batches:
        wrapper.update_params(mean_loss(model, batch))
    return weights(model)


class TestAccumulation:
    @WRAPPERS
    @CLIPS
    def test_equal_micro_batches_make_the_big_batch(self, wrapper_type, clip_grad):
        data = torch.randn(3, 12, 6)
        model = mlp()
        wrapper = wrapper_type(optimizer=sgd(model), accumulative_counts=4, clip_grad=clip_grad)
        for batch in data:
            for micro in batch.chunk(4):
                wrapper.update_params(mean_loss(model, micro))
        assert wrapper.update_count == 3
        torch.testing.assert_close(weights(model), one_big_batch(data, wrapper_type, clip_grad), rtol=0, atol=1e-6)

    @WRAPPERS
    @CLIPS
    def test_the_last_short_window_has_its_own_scale(self, wrapper_type, clip_grad):
        micros = torch.randn(10, 3, 6)
        model = mlp()
        wrapper = wrapper_type(optimizer=sgd(model), accumulative_counts=4, clip_grad=clip_grad)
        wrapper.initialize_count_status(model, 0, 10)
        for micro in micros:
            wrapper.update_params(mean_loss(model, micro))
        batches = [micros[:4].flatten(0, 1), micros[4:8].flatten(0, 1), micros[8:].flatten(0, 1)]
        assert wrapper.update_count == 3
        torch.testing.assert_close(weights(model), one_big_batch(batches, wrapper_type, clip_grad), rtol=0, atol=1e-6)

    @WRAPPERS
    @settings(max_examples=15, deadline=None)
    @given(
        sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5),
        clip=st.sampled_from([None, 0.05]),
        as_tensor=st.booleans(),
    )
    def test_weighted_micro_batches_of_any_size_make_the_big_batch(self, wrapper_type, sizes, clip, as_tensor):
        clip_grad = None if clip is None else {"max_norm": clip}
        torch.manual_seed(sum(sizes))
        batch = torch.randn(sum(sizes), 6)
        model = mlp()
        wrapper = wrapper_type(optimizer=sgd(model), accumulative_counts=len(sizes), clip_grad=clip_grad)
        for micro in batch.split(sizes):
            weight = torch.tensor(len(micro)) if as_tensor else len(micro)
            wrapper.update_params(mean_loss(model, micro), weight=weight)
        assert wrapper.update_count == 1
        torch.testing.assert_close(weights(model), one_big_batch([batch], wrapper_type, clip_grad), rtol=0, atol=1e-6)

    def test_weighted_losses_in_a_short_last_window(self):
        sizes, batch = [3, 1, 4, 2], torch.randn(10, 6)
        model = mlp()
        wrapper = OptimWrapper(sgd(model), accumulative_counts=3)
        wrapper.initialize_count_status(model, 0, 4)
        for micro in batch.split(sizes):
            wrapper.update_params(mean_loss(model, micro), weight=len(micro))
        expected = one_big_batch([batch[:8], batch[8:]], OptimWrapper, None)
        torch.testing.assert_close(weights(model), expected, rtol=0, atol=1e-6)

    def test_a_window_without_any_weight_changes_nothing(self):
        model = mlp()
        before = weights(model)
        OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.5)).update_params(
            mean_loss(model, torch.randn(2, 6)), weight=0
        )
        assert torch.equal(weights(model), before)

    @pytest.mark.parametrize("first", [None, 2.0], ids=["unweighted first", "weighted first"])
    def test_a_window_weighs_all_losses_or_none(self, first):
        weight = torch.ones(1, requires_grad=True)
        wrapper = OptimWrapper(torch.optim.SGD([weight], lr=0.1), accumulative_counts=2)
        wrapper.update_params(weight.sum(), weight=first)
        with pytest.raises(ValueError, match="this accumulation window began with"):
            wrapper.update_params(weight.sum(), weight=1.0 if first is None else None)

    def test_a_negative_weight(self):
        weight = torch.ones(1, requires_grad=True)
        with pytest.raises(ValueError, match="must be 0 or more, got -1"):
            OptimWrapper(torch.optim.SGD([weight], lr=0.1)).update_params(weight.sum(), weight=-1)

    @pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
    @pytest.mark.parametrize("stop", range(7))
    def test_a_restart_inside_a_window_changes_nothing(self, stop, weighted):
        micros = torch.randn(7, 3, 6)

        def run(model, wrapper, part, start):
            wrapper.initialize_count_status(model, start, 7)
            for micro in part:
                wrapper.update_params(mean_loss(model, micro), weight=3.0 if weighted else None)

        model = mlp()
        run(model, OptimWrapper(sgd(model), accumulative_counts=3), micros, 0)
        first = mlp()
        wrapper = OptimWrapper(sgd(first), accumulative_counts=3)
        run(first, wrapper, micros[:stop], 0)
        saved = copy.deepcopy([first.state_dict(), wrapper.state_dict(), wrapper.accumulation_state()])
        second = mlp()
        resumed = OptimWrapper(sgd(second), accumulative_counts=3)
        resumed.name_parameters(second)
        second.load_state_dict(saved[0])
        resumed.load_state_dict(saved[1])
        resumed.load_accumulation_state(saved[2])
        run(second, resumed, micros[stop:], stop)
        assert torch.equal(weights(second), weights(model))
        assert resumed.update_count == 3

    def test_the_open_window_is_saved_by_parameter_name(self):
        model = mlp()
        wrapper = OptimWrapper(sgd(model), accumulative_counts=2)
        wrapper.name_parameters(model)
        assert wrapper.accumulation_state()["gradients"] == {}
        wrapper.update_params(mean_loss(model, torch.randn(2, 6)))
        state = wrapper.accumulation_state()
        assert list(state["gradients"]) == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert (state["inner_count"], state["update_count"], state["weight"]) == (1, 0, None)

    @pytest.mark.parametrize("weight", [None, 2.0], ids=["plain", "weighted"])
    def test_a_lost_window_is_warned_about(self, weight, heard):
        model = mlp()
        wrapper = OptimWrapper(sgd(model), accumulative_counts=4)
        wrapper.initialize_count_status(model, 1, 10)
        for _ in range(3):
            wrapper.update_params(mean_loss(model, torch.randn(2, 6)), weight=weight)
        assert heard.text.count("inside a window of 4 accumulated losses") == 1
        assert wrapper.update_count == 1

    @pytest.mark.parametrize("restored_first", [True, False], ids=["restored first", "counted first"])
    def test_a_restored_window_is_not_warned_about(self, restored_first, heard):
        model = mlp()
        wrapper = OptimWrapper(sgd(model), accumulative_counts=2)
        steps = [
            lambda: wrapper.load_accumulation_state(
                {"inner_count": 1, "update_count": 0, "gradients": {}, "weight": None}
            ),
            lambda: wrapper.initialize_count_status(model, 1, 10),
        ]
        for step in steps if restored_first else reversed(steps):
            step()
        wrapper.update_params(mean_loss(model, torch.randn(2, 6)))
        assert "inside a window" not in heard.text

    def test_batch_norm_is_warned_about(self, heard):
        model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
        OptimWrapper(sgd(model)).initialize_count_status(model, 0, 10)
        assert "BatchNorm" not in heard.text
        OptimWrapper(sgd(model), accumulative_counts=2).initialize_count_status(model, 0, 10)
        assert "BatchNorm sees each batch alone" in heard.text

    def test_gradients_are_exchanged_only_where_a_window_ends(self):
        class Model(nn.Linear):
            held_back = 0

            @contextmanager
            def no_sync(self):
                self.held_back += 1
                yield

        model = Model(1, 1)
        wrapper = OptimWrapper(sgd(model), accumulative_counts=3)
        wrapper.initialize_count_status(model, 0, 8)
        held = []
        for _ in range(8):
            before = model.held_back
            with wrapper.optim_context(model):
                loss = model(torch.ones(1, 1)).sum()
            wrapper.update_params(loss)
            held.append(model.held_back > before)
        assert held == [True, True, False, True, True, False, True, False]

    def test_counts(self):
        weight = torch.ones(1, requires_grad=True)
        wrapper = OptimWrapper(torch.optim.SGD([weight], lr=0.1), accumulative_counts=2)
        for _ in range(5):
            wrapper.update_params(weight.sum())
        assert (wrapper.inner_count, wrapper.update_count) == (5, 2)
