from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from optim_ranks import mlp
from torch import nn

from eng.optim import AmpOptimWrapper, OptimWrapper


def mean_loss(model, inputs):
    return (model(inputs).float() - 1).pow(2).mean()


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def sgd(model, lr=0.5):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


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
