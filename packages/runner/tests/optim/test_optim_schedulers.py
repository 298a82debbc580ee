"""Schedulers: spans, units, conversion, state, momentum, metrics and mistakes."""

from __future__ import annotations

import io

import pytest
import torch

from eng.optim import (
    ConstantLR,
    CosineAnnealingLR,
    CosineRestartLR,
    ExponentialLR,
    ExponentialMomentum,
    LinearLR,
    LinearMomentum,
    LinearParamScheduler,
    MultiStepLR,
    OneCycleLR,
    OneCycleParamScheduler,
    OptimWrapper,
    PolyLR,
    ReduceOnPlateauLR,
    ReduceOnPlateauMomentum,
    StepLR,
    _ParamScheduler,
)
from eng.registry import PARAM_SCHEDULERS


def rates(optimizer, *schedulers, steps=6, group=0):
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[group]["lr"])
        for scheduler in schedulers:
            scheduler.step()
    return seen


def test_a_schedule_acts_in_its_span_only(sgd):
    scheduler = ExponentialLR(sgd, gamma=0.5, begin=2, end=5)
    assert rates(sgd, scheduler, steps=8) == pytest.approx([0.1, 0.1, 0.1, 0.05, 0.025, 0.025, 0.025, 0.025])


def test_each_group_follows_from_its_own_value(sgd):
    scheduler = StepLR(sgd, step_size=1, gamma=0.5)
    scheduler.step()
    assert scheduler.get_last_value() == pytest.approx([0.05, 0.01])


def test_overlapping_schedules_multiply(sgd):
    both = [ExponentialLR(sgd, gamma=0.5), ConstantLR(sgd, factor=0.1, end=3)]
    assert rates(sgd, *both, steps=5) == pytest.approx([0.01, 0.005, 0.025, 0.0125, 0.00625])


def test_nothing_of_the_optimizer_is_replaced(sgd):
    before = dict(vars(sgd))
    wrapper = OptimWrapper(sgd)
    for optimizer in (sgd, wrapper):
        LinearLR(optimizer, end=5)
    assert "step" not in vars(wrapper)
    assert set(vars(sgd)) == set(before)
    assert sgd.step.__func__ is torch.optim.SGD.step


def test_any_value_of_a_group_can_be_scheduled(sgd):
    sgd.param_groups[0]["weight_decay"] = 0.4
    LinearParamScheduler(sgd, param_name="weight_decay", start_factor=0.5, end=3).step()
    assert sgd.param_groups[0]["weight_decay"] == pytest.approx(0.3)


def test_a_tensor_learning_rate_keeps_its_identity():
    rate = torch.tensor(0.1)
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=rate, foreach=False)
    scheduler = ExponentialLR(optimizer, gamma=0.5)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate.item() == pytest.approx(0.05)
    assert scheduler.get_last_value()[0].item() == pytest.approx(0.05)


def test_base_settings_of_a_wrapper_are_scheduled_too(sgd):
    wrapper = OptimWrapper(sgd)
    ExponentialLR(wrapper, gamma=0.5).step()
    assert wrapper.get_lr() == {"base_lr": [pytest.approx(0.05)], "lr": pytest.approx([0.05, 0.01])}


class TestUnits:
    @pytest.mark.parametrize(
        ("settings", "unit", "by_epoch"),
        [({}, "epoch", True), ({"by_epoch": False}, "iter", False), ({"by": "update"}, "update", False)],
        ids=["default", "iter", "update"],
    )
    def test_unit(self, sgd, settings, unit, by_epoch):
        scheduler = ExponentialLR(sgd, gamma=0.5, **settings)
        assert (scheduler.by, scheduler.by_epoch) == (unit, by_epoch)

    def test_every_class_takes_the_unit(self, sgd):
        arguments = {
            "StepLR": {"step_size": 2}, "MultiStepLR": {"milestones": [1]}, "ExponentialLR": {"gamma": 0.5},
            "CosineRestartLR": {"periods": [2], "eta_min": 0.0}, "OneCycleLR": {"eta_max": 1.0, "total_steps": 9},
        }  # fmt: skip
        for name in ["ConstantLR", "CosineAnnealingLR", "LinearLR", "PolyLR", *arguments]:
            built = PARAM_SCHEDULERS.build(
                dict(type=name, by="update", **arguments.get(name, {})), default_args={"optimizer": sgd}
            )
            assert built.by == "update", name

    def test_accumulation_does_not_speed_up_a_schedule_of_updates(self):
        def updates_and_rates(counts):
            weight = torch.ones(1, requires_grad=True)
            wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1.0), accumulative_counts=counts)
            scheduler = ExponentialLR(wrapper, gamma=0.5, by="update")
            seen = {}
            for _ in range(4 * counts):
                seen.setdefault(wrapper.update_count, wrapper.optimizer.param_groups[0]["lr"])
                before = wrapper.update_count
                wrapper.update_params(weight.sum())
                if wrapper.update_count > before:
                    scheduler.step()
            return seen

        assert updates_and_rates(1) == updates_and_rates(3) == {0: 1.0, 1: 0.5, 2: 0.25, 3: 0.125}


class TestConversion:
    @pytest.mark.parametrize(
        ("cls", "epochs", "iterations"),
        [
            (MultiStepLR, {"milestones": [2, 3]}, {"milestones": [20, 30]}),
            (StepLR, {"step_size": 2}, {"step_size": 20}),
            (CosineAnnealingLR, {"T_max": 3}, {"T_max": 30}),
            (CosineAnnealingLR, {"begin": 1, "end": 4}, {"begin": 10, "end": 40}),
            (CosineRestartLR, {"periods": [2], "eta_min": 0}, {"periods": [20], "eta_min": 0}),
            (OneCycleLR, {"total_steps": 4, "eta_max": 1.0}, {"total_steps": 40, "eta_max": 1.0}),
            (LinearLR, {"end": 1.5}, {"end": 15}),
            (ConstantLR, {"end": 2}, {"end": 20}),
            (PolyLR, {"end": 3}, {"end": 30}),
            (ExponentialLR, {"gamma": 0.9, "end": 3}, {"gamma": 0.9, "end": 30}),
        ],
        ids=lambda value: value.__name__ if isinstance(value, type) else None,
    )
    def test_epochs_become_iterations(self, cls, epochs, iterations):
        first, second = (torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1) for _ in range(2))
        converted = cls.build_iter_from_epoch(first, epoch_length=10, **epochs)
        direct = cls(second, by_epoch=False, **iterations)
        assert not converted.by_epoch
        assert rates(first, converted, steps=35) == rates(second, direct, steps=35)

    def test_the_registry_converts(self, sgd):
        config = {"type": "MultiStepLR", "milestones": [1], "convert_to_iter_based": True}
        built = PARAM_SCHEDULERS.build(config, default_args={"optimizer": sgd, "epoch_length": 5})
        assert dict(built.milestones) == {5: 1}

    @pytest.mark.parametrize(
        ("settings", "error", "words"),
        [
            ({"gamma": 0.5}, ValueError, "epoch_length must be the positive number"),
            ({"gamma": 0.5, "epoch_length": 0}, ValueError, "got 0"),
            ({"gamma": 0.5, "epoch_length": 5, "by_epoch": False}, ValueError, "only a schedule that counts epochs"),
            ({"gamma": 0.5, "epoch_length": 5, "by": "update"}, ValueError, "only a schedule that counts epochs"),
        ],
        ids=["no length", "no iterations", "iterations already", "updates"],
    )
    def test_what_cannot_be_converted(self, sgd, settings, error, words):
        with pytest.raises(error, match=words):
            ExponentialLR.build_iter_from_epoch(sgd, **settings)

    def test_what_counts_epochs_must_be_named(self, sgd):
        with pytest.raises(TypeError, match="needs 'milestones' as a keyword"):
            MultiStepLR.build_iter_from_epoch(sgd, [8, 11], epoch_length=10)


class TestState:
    @pytest.mark.parametrize("stop", [0, 3, 7, 12])
    def test_a_resumed_schedule_goes_on_as_if_it_had_not_stopped(self, stop):
        def build():
            wrapper = OptimWrapper(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9))
            return wrapper, [
                LinearLR(wrapper, start_factor=0.1, end=5),
                CosineAnnealingLR(wrapper, begin=5, T_max=10),
                MultiStepLR(wrapper, milestones=[4, 9]),
                LinearMomentum(wrapper, end=6),
            ]

        straight, schedulers = build()
        whole = rates(straight, *schedulers, steps=15)
        first, schedulers = build()
        seen = rates(first, *schedulers, steps=stop)
        saved = {"optimizer": first.state_dict(), "schedulers": [each.state_dict() for each in schedulers]}
        buffer = io.BytesIO()
        torch.save(saved, buffer)
        buffer.seek(0)
        loaded = torch.load(buffer, weights_only=True)
        second, schedulers = build()
        second.load_state_dict(loaded["optimizer"])
        for scheduler, state in zip(schedulers, loaded["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        assert seen + rates(second, *schedulers, steps=15 - stop) == whole

    def test_a_state_of_the_reference_loads(self, sgd):
        scheduler = StepLR(sgd, step_size=2)
        scheduler.load_state_dict(
            {"last_step": 4, "_global_step": 4, "anneal_func": print, "base_values": [0.1, 0.02], "verbose": False}
        )
        assert (scheduler.last_step, scheduler._global_step) == (4, 4)
        assert not hasattr(scheduler, "anneal_func")

    def test_base_values_stay_where_the_number_of_groups_has_changed(self, sgd):
        scheduler = StepLR(sgd, step_size=2)
        scheduler.load_state_dict({**scheduler.state_dict(), "base_values": [0.5]})
        assert scheduler.base_values == [0.1, 0.02]

    def test_going_on_without_a_state_needs_initial_values(self, sgd):
        with pytest.raises(KeyError, match="parameter group 0 has no 'initial_lr'"):
            StepLR(sgd, step_size=2, last_step=3)
        StepLR(sgd, step_size=2)
        assert StepLR(sgd, step_size=2, last_step=3).last_step == 4


class TestMomentum:
    def test_of_sgd(self, sgd):
        ExponentialMomentum(sgd, gamma=0.5).step()
        assert [group["momentum"] for group in sgd.param_groups] == [0.45, 0.4]

    def test_of_adam_is_its_first_beta(self):
        optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], betas=(0.8, 0.99))
        ExponentialMomentum(OptimWrapper(optimizer), gamma=0.5).step()
        assert optimizer.param_groups[0]["betas"] == (0.4, 0.99)

    def test_an_optimizer_without_one(self):
        optimizer = torch.optim.Adagrad([torch.zeros(1, requires_grad=True)])
        with pytest.raises(ValueError, match="needs an optimizer with 'momentum' or 'betas'; Adagrad has"):
            LinearMomentum(optimizer)


class TestPlateau:
    @pytest.mark.parametrize(
        "settings",
        [
            {"factor": 0.5, "patience": 1},
            {"factor": 0.5, "patience": 0, "threshold_rule": "abs", "threshold": 0.05},
            {"factor": 0.1, "patience": 1, "cooldown": 2},
            {"factor": 0.1, "patience": 0, "min_value": [0.05, 0.001]},
            {"factor": 0.5, "patience": 1, "rule": "greater"},
            {"factor": 0.5, "patience": 1, "rule": "greater", "threshold_rule": "abs"},
        ],
    )
    def test_equals_torch(self, settings):
        def groups():
            return [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in (0.1, 0.02)]

        ours, theirs = torch.optim.SGD(groups(), lr=0.1), torch.optim.SGD(groups(), lr=0.1)
        scheduler = ReduceOnPlateauLR(ours, **settings)
        rename = {"rule": "mode", "threshold_rule": "threshold_mode", "min_value": "min_lr"}
        words = {"less": "min", "greater": "max"}
        bare = torch.optim.lr_scheduler.ReduceLROnPlateau(
            theirs, **{rename.get(k, k): words.get(v, v) if isinstance(v, str) else v for k, v in settings.items()}
        )
        for metric in [1.0, 0.9, 0.91, 0.9, 0.89, 0.89, 0.7, 0.71, 0.72, 0.73, 0.74, 0.75, 0.76]:
            scheduler.step({"loss": metric})
            bare.step(metric)
            found = [group["lr"] for group in ours.param_groups]
            assert found == pytest.approx([group["lr"] for group in theirs.param_groups])

    def test_losses_may_be_huge(self, sgd):
        scheduler = ReduceOnPlateauLR(sgd, patience=0, factor=0.5)
        scheduler.step({"loss": 1e12})
        assert sgd.param_groups[0]["lr"] == 0.1

    def test_momentum_flavour_and_tensor_metric(self, sgd):
        scheduler = ReduceOnPlateauMomentum(sgd, monitor="acc", rule="greater", patience=0, factor=0.5)
        for metric in (0.5, 0.4):
            scheduler.step({"acc": torch.tensor(metric)})
        assert sgd.param_groups[0]["momentum"] == 0.45

    def test_state_is_plain(self, sgd):
        scheduler = ReduceOnPlateauLR(sgd, patience=3)
        scheduler.step({"loss": 2.0})
        scheduler.step({"loss": 3.0})
        other = ReduceOnPlateauLR(sgd)
        other.load_state_dict(scheduler.state_dict())
        assert (other.best, other.num_bad_epochs, other.patience) == (2.0, 1, 3)

    def test_a_metric_that_is_not_there(self, sgd):
        with pytest.raises(KeyError, match=r"monitors 'loss'.*there are: acc"):
            ReduceOnPlateauLR(sgd).step({"acc": 1.0})
        with pytest.raises(TypeError, match="takes metrics by name, not float"):
            ReduceOnPlateauLR(sgd).step(0.5)

    def test_without_metrics_it_only_counts(self, sgd):
        scheduler = ReduceOnPlateauLR(sgd)
        scheduler.step()
        assert scheduler._global_step == 1

    def test_with_a_wrapper_the_base_settings_have_a_lowest_value_too(self, sgd):
        scheduler = ReduceOnPlateauLR(OptimWrapper(sgd), min_value=[0.01, 0.002])
        assert scheduler.min_values == [0.01, 0.002, 0.002]


BAD = {
    "end before begin": (lambda o: LinearLR(o, begin=5, end=5), "end must be behind begin, got begin=5 and end=5"),
    "milestones out of order": (
        lambda o: MultiStepLR(o, [9, 3]),
        r"ascending order, got \[9, 3\]; did you mean \[3, 9\]",
    ),
    "milestones that are none": (lambda o: MultiStepLR(o, 5), "milestones must be a list of whole numbers, got 5"),
    "begin": (lambda o: LinearLR(o, begin=-1), "begin must be 0 or more, got -1"),
    "milestones in halves": (lambda o: MultiStepLR(o, [1.5]), "must be whole numbers"),
    "unknown unit": (lambda o: StepLR(o, 3, by="updates"), "did you mean 'update'"),
    "last_step": (lambda o: StepLR(o, 3, last_step=-2), "last_step must be a whole number"),
    "step_size": (lambda o: StepLR(o, 0), "step_size must be positive"),
    "factor of constant": (lambda o: ConstantLR(o, factor=2), "factor must be between 0 and 1, got 2"),
    "factor of linear": (lambda o: LinearLR(o, start_factor=-1), "start_factor must be between 0 and 1"),
    "end factor": (lambda o: LinearLR(o, end_factor=1.5), "end_factor must be between 0 and 1"),
    "two floors": (lambda o: CosineAnnealingLR(o, eta_min=0, eta_min_ratio=0.1), "not both"),
    "T_max": (lambda o: CosineAnnealingLR(o, T_max=-1), "T_max must be positive"),
    "restart without floor": (lambda o: CosineRestartLR(o, [3]), "give either eta_min or eta_min_ratio"),
    "restart weights": (lambda o: CosineRestartLR(o, [3, 4], eta_min=0), "2 periods and 1 weights"),
    "one cycle of momentum": (lambda o: OneCycleParamScheduler(o, "momentum"), "moves only the learning rate"),
    "total_steps": (lambda o: OneCycleLR(o, total_steps=0), "total_steps must be a positive whole number"),
    "pct_start": (lambda o: OneCycleLR(o, pct_start=2.0), "pct_start must be between 0 and 1"),
    "anneal_strategy": (lambda o: OneCycleLR(o, anneal_strategy="cosine"), "did you mean 'cos'"),
    "eta_max": (lambda o: OneCycleLR(o, eta_max=[1.0]), "1 values for 2 parameter groups"),
    "plateau factor": (lambda o: ReduceOnPlateauLR(o, factor=1.0), "factor must be below 1"),
    "plateau threshold": (lambda o: ReduceOnPlateauLR(o, threshold=-1), "threshold must be 0 or more"),
    "plateau rule": (lambda o: ReduceOnPlateauLR(o, rule="min"), "unknown rule 'min'"),
    "plateau threshold rule": (
        lambda o: ReduceOnPlateauLR(o, threshold_rule="relative"),
        "did you mean 'rel'|there are",
    ),
    "plateau of iterations": (lambda o: ReduceOnPlateauLR(o, by_epoch=False), "by_epoch must be True"),
    "plateau min_value": (lambda o: ReduceOnPlateauLR(o, min_value=[0.1]), "1 values for 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_named(sgd, name):
    build, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        build(sgd)


def test_a_cycle_that_is_over(sgd):
    scheduler = OneCycleLR(sgd, eta_max=1.0, total_steps=3)
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match="step 5 of a cycle of 3"):
        scheduler.step()


def test_what_is_no_optimizer():
    with pytest.raises(TypeError, match="moves values of an Optimizer or OptimWrapper, not list"):
        _ParamScheduler([], "lr")


def test_a_value_that_groups_do_not_have(sgd):
    with pytest.raises(KeyError, match="has no 'weight_dcay'; did you mean 'weight_decay'"):
        LinearParamScheduler(sgd, "weight_dcay")


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


@pytest.mark.parametrize("kind", ["LinearLR", "ConstantLR", "PolyLR"])
def test_a_span_of_one_unit_is_warned_about_with_its_value(kind, caplog) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    settings = {} if kind == "PolyLR" else {"LinearLR": dict(start_factor=0.1), "ConstantLR": dict(factor=0.1)}[kind]
    with caplog.at_level("WARNING", logger="eng"):
        scheduler = PARAM_SCHEDULERS.build(dict(type=kind, optimizer=optimizer, end=1, **settings))
    value = 1.0 if kind == "PolyLR" else 0.1
    assert f"{kind} acts for one epoch only (begin=0, end=1): lr stays at [{value}]" in caplog.text
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == value
