from __future__ import annotations

import math

import pytest
import torch
from optim_ranks import mlp
from torch import nn

from eng.optim import OptimWrapper


def mean_loss(model, inputs):
    return (model(inputs).float() - 1).pow(2).mean()


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def sgd(model, lr=0.5):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


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
