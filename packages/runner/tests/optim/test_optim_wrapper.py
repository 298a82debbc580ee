"""OptimWrapper: updates, exact accumulation, clipping, steps that are skipped, and mistakes."""

from __future__ import annotations

import copy
import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from eng.optim import AmpOptimWrapper, OptimWrapper


def mlp():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))


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


class TestUpdate:
    def test_is_backward_step_and_zero_grad(self):
        ours, bare = mlp(), mlp()
        wrapper, optimizer = OptimWrapper(sgd(ours)), sgd(bare)
        for batch in torch.randn(5, 4, 6):
            wrapper.update_params(mean_loss(ours, batch))
            mean_loss(bare, batch).backward()
            optimizer.step()
            optimizer.zero_grad()
        assert torch.equal(weights(ours), weights(bare))
        assert all(p.grad is None for p in ours.parameters())

    def test_hands_on_arguments_of_step_and_zero_grad(self):
        weight = torch.ones(1, requires_grad=True)
        wrapper = OptimWrapper(torch.optim.SGD([weight], lr=0.1))
        called = []
        wrapper.update_params(
            weight.sum(), step_kwargs={"closure": lambda: called.append(1)}, zero_kwargs={"set_to_none": False}
        )
        assert called == [1]
        assert weight.grad.item() == 0

    def test_the_finer_steps_work_alone(self):
        weight = torch.ones(1, requires_grad=True)
        wrapper = OptimWrapper(torch.optim.SGD([weight], lr=0.5))
        wrapper.zero_grad()
        wrapper.backward(weight.sum() * 2)
        wrapper.step()
        assert weight.item() == 0.0

    @pytest.mark.parametrize("loss", [None, 1.0, [1.0], {"loss": 1.0}], ids=str)
    def test_a_loss_that_is_no_tensor(self, loss):
        weight = torch.ones(1, requires_grad=True)
        with pytest.raises(TypeError, match="takes the loss as a tensor, got"):
            OptimWrapper(torch.optim.SGD([weight], lr=0.1)).update_params(loss)

    @pytest.mark.parametrize("optimizer", [3, None, {"type": "SGD"}, torch.optim.SGD], ids=str)
    @pytest.mark.parametrize("wrapper", [OptimWrapper, AmpOptimWrapper])
    def test_what_is_no_optimizer(self, wrapper, optimizer):
        with pytest.raises(
            TypeError, match=f"^{wrapper.__name__} takes an optimizer such as .*, got {type(optimizer).__name__}: "
        ):
            wrapper(optimizer=optimizer)

    @pytest.mark.parametrize("counts", [np.int64(2), np.float32(2), 2.0], ids=repr)
    def test_accumulative_counts_of_numpy(self, counts):
        weight = nn.Parameter(torch.zeros(1))
        wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1.0), accumulative_counts=counts)
        for gradient in (1.0, 3.0):
            assert weight.item() == 0
            wrapper.update_params((weight * gradient).sum())
        assert weight.item() == -2  # the mean of both gradients

    @pytest.mark.parametrize("counts", [0, -1, 1.5, math.nan, math.inf, "2"], ids=str)
    def test_accumulative_counts_out_of_range(self, counts):
        with pytest.raises(ValueError, match="accumulative_counts must be a whole number, 1 or more"):
            OptimWrapper(sgd(mlp()), accumulative_counts=counts)


class TestClip:
    def clipped(self, clip_grad, scale=100.0):
        weight = nn.Parameter(torch.ones(4))
        wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1.0), clip_grad=clip_grad)
        wrapper.update_params((weight * scale).sum())
        return (1 - weight).detach(), wrapper

    @pytest.mark.parametrize(
        ("clip_grad", "expected"),
        [
            ({"max_norm": 1}, 0.5),
            ({"type": "norm", "max_norm": 1, "norm_type": math.inf}, 1.0),
            ({"clip_value": 0.2}, 0.2),
            ({"type": "value", "clip_value": 0.2}, 0.2),
        ],
        ids=["norm", "infinity norm", "value, inferred", "value"],
    )
    def test_kinds(self, clip_grad, expected):
        given_setting = dict(clip_grad)
        update, _ = self.clipped(clip_grad)
        torch.testing.assert_close(update, torch.full((4,), expected))
        assert clip_grad == given_setting

    def test_the_norm_is_logged_without_being_read(self):
        _, wrapper = self.clipped({"max_norm": 1})
        assert float(wrapper.message_hub.get_scalar("train/grad_norm").current()) == pytest.approx(200.0)

    @pytest.mark.parametrize(
        ("clip_grad", "error", "words"),
        [
            ({}, TypeError, "clip_grad must be a mapping"),
            (5, TypeError, "got 5"),
            ({"type": "norms", "max_norm": 1}, ValueError, "did you mean 'norm'"),
            ({"max_nrom": 1}, ValueError, "takes no 'max_nrom'; did you mean 'max_norm'"),
            ({"type": "norm"}, ValueError, "needs 'max_norm'"),
            ({"type": "value", "max_norm": 1}, ValueError, "takes no 'max_norm'"),
        ],
        ids=["empty", "number", "type", "argument", "missing", "mixed"],
    )
    def test_mistakes(self, clip_grad, error, words):
        with pytest.raises(error, match=words):
            OptimWrapper(sgd(mlp()), clip_grad=clip_grad)

    def test_torch_can_be_asked_to_stop_at_a_norm_that_is_not_finite(self):
        with pytest.raises(RuntimeError, match="non-finite"):
            self.clipped({"max_norm": 1, "error_if_nonfinite": True}, scale=math.nan)


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "AdamW, fused": lambda p: torch.optim.AdamW(p, lr=0.1, fused=True),
    "Adam, amsgrad": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1, centered=True, momentum=0.9),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
    "Adafactor": lambda p: torch.optim.Adafactor(p, lr=0.1),
}


class TestSkipNonfinite:
    @pytest.mark.parametrize("bad", [math.nan, math.inf], ids=str)
    @pytest.mark.parametrize("kind", OPTIMIZERS)
    def test_a_skipped_update_leaves_weights_and_state(self, kind, bad):
        def run(with_bad):
            model = mlp()
            wrapper = OptimWrapper(OPTIMIZERS[kind](model.parameters()), skip_nonfinite=True)
            torch.manual_seed(3)
            for index, batch in enumerate(torch.randn(5, 4, 6)):
                if with_bad and index == 3:
                    wrapper.update_params(mean_loss(model, batch) * bad)
                wrapper.update_params(mean_loss(model, batch))
            return model, wrapper

        (clean, clean_wrapper), (hit, wrapper) = run(False), run(True)
        assert torch.equal(weights(hit), weights(clean))
        states = zip(wrapper.optimizer.state.values(), clean_wrapper.optimizer.state.values(), strict=True)
        for ours, theirs in states:
            assert {k: v.tolist() for k, v in ours.items()} == {k: v.tolist() for k, v in theirs.items()}
        assert (int(wrapper.skipped_count), bool(wrapper.last_step_finite)) == (1, True)

    def test_the_first_step_can_be_skipped(self):
        model = mlp()
        before = weights(model)
        wrapper = OptimWrapper(torch.optim.Adam(model.parameters()), skip_nonfinite=True)
        wrapper.update_params(mean_loss(model, torch.randn(2, 6)) * math.nan)
        assert torch.equal(weights(model), before)
        assert not bool(wrapper.last_step_finite)
        assert all(not value.any() for state in wrapper.optimizer.state.values() for value in state.values())

    def test_clipping_does_not_hide_a_nonfinite_gradient(self):
        model = mlp()
        before = weights(model)
        wrapper = OptimWrapper(sgd(model), clip_grad={"max_norm": 1}, skip_nonfinite=True)
        wrapper.update_params(mean_loss(model, torch.randn(2, 6)) * math.inf)
        assert torch.equal(weights(model), before)

    def test_a_finite_gradient_whose_norm_overflows_is_not_skipped(self):
        weight = nn.Parameter(torch.ones(4))
        wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1e-30), skip_nonfinite=True)
        wrapper.update_params((weight * 1e30).sum())
        torch.testing.assert_close(weight.detach(), torch.zeros(4), rtol=0, atol=1e-6)

    def test_it_asks_nothing_of_the_device(self):
        class NoRead(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):
                assert func is not torch.ops.aten._local_scalar_dense.default, "a value was read"
                return func(*args, **(kwargs or {}))

        model = mlp()
        # foreach: on a CPU the plain loop of torch reads its step counts; with capturable it does not.
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), skip_nonfinite=True)
        loss = mean_loss(model, torch.randn(2, 6))
        with NoRead():
            wrapper.update_params(loss)

    def test_without_it_there_is_nothing_to_tell(self):
        wrapper = OptimWrapper(sgd(mlp()))
        assert wrapper.last_step_finite is None
        assert wrapper.skipped_count is None


def test_rates_momenta_and_groups():
    model = mlp()
    wrapper = OptimWrapper(sgd(model))
    assert wrapper.get_lr() == {"lr": [0.5]}
    assert wrapper.get_momentum() == {"momentum": [0.9]}
    assert wrapper.param_groups is wrapper.optimizer.param_groups
    assert wrapper.defaults["lr"] == 0.5
    assert "Type: OptimWrapper" in repr(wrapper)
    several = OptimWrapper(torch.optim.Adam([{"params": [p]} for p in model.parameters()], lr=0.2, betas=(0.7, 0.9)))
    assert several.get_lr() == {"base_lr": [0.2], "lr": [0.2] * 4}
    assert several.get_momentum() == {"momentum": [0.7] * 4}
    assert len(several.param_groups) == 5
    assert OptimWrapper(torch.optim.Adagrad(model.parameters())).get_momentum() == {"momentum": [0]}


class TestZeroGrad:
    def test_forgets_all_gradients(self):
        model = mlp()
        wrapper = OptimWrapper(sgd(model))
        wrapper.backward(mean_loss(model, torch.randn(2, 6)))
        wrapper.zero_grad()
        assert [p.grad for p in model.parameters()] == [None] * 4

    def test_keeps_them_as_zeros_where_asked_to(self):
        model = mlp()
        wrapper = OptimWrapper(sgd(model))
        wrapper.backward(mean_loss(model, torch.randn(2, 6)))
        wrapper.zero_grad(set_to_none=False)
        assert not any(p.grad.any() for p in model.parameters())

    def test_an_optimizer_with_its_own_way_is_asked(self):
        class Counting(torch.optim.SGD):
            calls = 0

            def zero_grad(self, set_to_none=True):
                self.calls += 1
                super().zero_grad(set_to_none)

        model = mlp()
        own, patched = Counting(model.parameters(), lr=0.1), sgd(model)
        patched.zero_grad, asked = (lambda: asked.append(1)), []
        OptimWrapper(own).zero_grad()
        OptimWrapper(patched).zero_grad()
        assert (own.calls, asked) == (1, [1])
