from __future__ import annotations

import pytest
import torch
from optim_parts import rates

from eng.optim import ExponentialLR, LinearLR, OptimWrapper, StepLR, _ParamScheduler
from eng.runner.assemble.idle_schedules import idle_schedules
from eng.runner.state.restore import count_steps


def test_a_schedule_acts_in_its_span_only(sgd):
    scheduler = ExponentialLR(sgd, gamma=0.5, begin=2, end=5)
    assert rates(sgd, scheduler, steps=8) == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.025, 0.025, 0.025, 0.025])


def test_each_group_follows_from_its_own_value(sgd):
    scheduler = StepLR(sgd, step_size=1, gamma=0.5)
    scheduler.step()
    assert scheduler.get_last_value() == pytest.approx([0.05, 0.01])


def test_nothing_of_the_optimizer_is_replaced(sgd):
    before = dict(vars(sgd))
    wrapper = OptimWrapper(sgd)
    for optimizer in (sgd, wrapper):
        LinearLR(optimizer, end=5)
    assert "step" not in vars(wrapper)
    assert set(vars(sgd)) == set(before)
    assert sgd.step.__func__ is torch.optim.SGD.step


def test_a_tensor_learning_rate_keeps_its_identity():
    rate = torch.tensor(0.1)
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=rate, foreach=False)
    scheduler = ExponentialLR(optimizer, gamma=0.5)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(0.05)
    assert scheduler.get_last_value()[0].item() == pytest.approx(0.05)


def test_what_is_no_optimizer():
    with pytest.raises(TypeError, match="`optimizer` should be an Optimizer or OptimWrapper, not list"):
        _ParamScheduler([], "lr")


def test_a_subclass_without_a_curve(sgd):
    with pytest.raises(NotImplementedError, match="Bare gives no curve: define _get_value"):
        type("Bare", (_ParamScheduler,), {})(sgd, "lr")


def test_a_subclass_of_a_library_needs_only_get_value(sgd):
    class Quadratic(_ParamScheduler):
        def __init__(self, optimizer, param_name, begin=0, end=10, last_step=-1, by_epoch=True, verbose=False):
            self.total_iters = end - begin
            super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

        def _get_value(self):
            return [base * (self.last_step / self.total_iters) ** 2 for base in self.base_values]

    assert rates(sgd, Quadratic(sgd, "lr", end=4), steps=4) == pytest.approx([0, 0.1 / 16, 0.1 / 4, 0.9 / 16])


def test_verbose_logs_each_value(sgd, heard):
    ExponentialLR(sgd, gamma=0.5, verbose=True).step()
    assert "lr of parameter group 0 is now 5.0000e-02" in heard.text


class WithoutInit(_ParamScheduler):
    """Sets its attributes itself, as MMEngine's ReduceOnPlateauParamScheduler does."""

    def __init__(self, optimizer, **settings):
        self.optimizer, self.param_name = optimizer, "lr"
        self.base_values = self._last_value = [0.1]
        self.last_step = self._global_step = 0
        vars(self).update(settings)

    def _get_value(self):
        return [0.1]


@pytest.mark.parametrize(("settings", "unit", "steps"), [({}, "epoch", 2), ({"by_epoch": False}, "iter", 10)])
def test_a_scheduler_without_the_base_init_has_its_defaults(sgd, settings, unit, steps):
    scheduler = WithoutInit(sgd, **settings)
    assert (scheduler.by, scheduler.begin, scheduler.end) == (unit, 0, 10**9)
    assert scheduler.by_epoch is settings.get("by_epoch", True)
    count_steps([scheduler], 10, 5.0)
    assert scheduler._global_step == steps
    assert list(idle_schedules([scheduler], 3, 30)) == []
