from __future__ import annotations

import math

import pytest
import torch
from model_base_model_parts import Losses
from model_workers import Toy, Wrapper, batch


def test_parse_losses_averages_sums_and_detaches():
    model = Losses()
    a = torch.tensor([1.0, 3.0], requires_grad=True)
    loss, log_vars = model.parse_losses({"loss_a": a, "acc": torch.tensor([1, 0]), "aux_loss": [a, 2 * a]})
    assert loss.item() == 8 and loss.requires_grad
    assert {name: value.item() for name, value in log_vars.items()} == {
        "loss_a": 2,
        "acc": 0.5,
        "aux_loss": 6,
        "loss": 8,
    }
    assert list(log_vars)[-1] == "loss"
    assert not any(value.requires_grad for value in log_vars.values())


def test_an_entry_called_loss_is_one_of_the_losses():
    loss, log_vars = Losses().parse_losses({"loss": torch.tensor(1.0), "loss_b": torch.tensor(2.0)})
    assert loss.item() == 3 and log_vars["loss"].item() == 1
    assert Losses().parse_losses({"loss_a": [], "loss_b": torch.tensor(2.0)})[0].item() == 2


@pytest.mark.parametrize("weight", [12, torch.tensor(12.0)], ids=["number", "tensor"])
def test_loss_weight_goes_to_the_optimizer_and_not_into_the_sum(weight):
    model = Losses({"loss": torch.tensor(3.0)})
    model.forward = lambda **kwargs: {"loss": model.weight * 3, "loss_weight": weight}
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.5))
    log_vars = model.train_step({}, wrapper)
    assert {name: value.item() for name, value in log_vars.items()} == {"loss": 6}
    assert wrapper.calls == [{"weight": weight}]


def test_train_step_updates_and_passes_no_weight_by_default():
    model = Losses({"loss": torch.tensor(3.0)})
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.5))
    log_vars = model.train_step([], wrapper)
    assert (log_vars["loss"].item(), model.weight.item(), wrapper.calls) == (6, 0.5, [{}])


def test_no_value_is_read_on_the_way(monkeypatch):
    def fail(self):
        raise AssertionError("a value was read")

    model = Toy()
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    monkeypatch.setattr(torch.Tensor, "item", fail)
    monkeypatch.setattr(torch.Tensor, "__float__", fail)
    monkeypatch.setattr(torch.Tensor, "__bool__", fail)
    log_vars = model.train_step(batch(0, 1), wrapper)
    monkeypatch.undo()
    assert math.isfinite(log_vars["loss"].item())


def test_hooks_of_the_preprocessor_see_a_batch_that_needs_no_move():
    model, seen = Toy(), []
    wrapper = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    handle = model.data_preprocessor.register_forward_pre_hook(lambda module, args: seen.append(args[1]))
    model.train_step(tuple(batch(0, 1).values()), wrapper)
    handle.remove()
    model.train_step(tuple(batch(0, 1).values()), wrapper)
    assert seen == [True]
