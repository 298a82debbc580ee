from __future__ import annotations

import io

import pytest
import torch
from optim_parts import rates

from eng.optim import (
    ConstantLR,
    CosineAnnealingLR,
    CosineRestartLR,
    ExponentialLR,
    LinearLR,
    LinearMomentum,
    MultiStepLR,
    OneCycleLR,
    OptimWrapper,
    PolyLR,
    StepLR,
)
from eng.registry import PARAM_SCHEDULERS


def test_overlapping_schedules_multiply(sgd):
    both = [ExponentialLR(sgd, gamma=0.5), ConstantLR(sgd, factor=0.1, end=3)]
    assert rates(sgd, *both, steps=5) == pytest.approx([0.01, 0.005, 0.025, 0.0125, 0.00625])


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
        with pytest.raises(KeyError, match=r"'initial_lr' is not specified in param_groups\[0\]"):
            StepLR(sgd, step_size=2, last_step=3)
        StepLR(sgd, step_size=2)
        assert StepLR(sgd, step_size=2, last_step=3).last_step == 4


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
