"""Values that configs hold: whole floats as counts, slips of names, keys that hooks read."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from eng.optim import OptimWrapper, build_optim_wrapper
from eng.optim.errors import OptimError
from eng.registry import PARAM_SCHEDULERS, Node, check

COUNTS = ("step_size", "milestones", "begin", "end", "T_max", "total_steps", "periods")
SCHEDULES = [
    dict(type="StepLR", step_size=3),
    dict(type="MultiStepLR", milestones=[2, 5]),
    dict(type="ConstantLR", begin=1, end=5),
    dict(type="CosineAnnealingLR", T_max=6, begin=1, end=7),
    dict(type="ExponentialLR", gamma=0.9, begin=2, end=8),
    dict(type="LinearLR", begin=2, end=6),
    dict(type="PolyLR", power=2.0, begin=1, end=9),
    dict(type="OneCycleLR", eta_max=1.0, total_steps=12),
    dict(type="CosineRestartLR", periods=[3, 5], restart_weights=[1, 0.5], eta_min=0.0),
]


def rates(cfg: dict[str, Any], steps: int = 12) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    scheduler = PARAM_SCHEDULERS.build(dict(cfg), default_args={"optimizer": optimizer})
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


def as_float(value: Any) -> Any:
    return list(map(float, value)) if isinstance(value, list) else float(value)


@pytest.mark.parametrize("cfg", SCHEDULES, ids=lambda cfg: cfg["type"])
def test_schedule_with_whole_floats(cfg: dict[str, Any]) -> None:
    floats = {key: as_float(value) if key in COUNTS else value for key, value in cfg.items()}
    assert rates(floats) == rates(cfg)
    assert check(floats, Node(PARAM_SCHEDULERS, supplied=frozenset({"optimizer"}))) == []


def test_accumulation_with_a_whole_float() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    assert OptimWrapper(optimizer, accumulative_counts=2.0)._accumulative_counts == 2  # type: ignore[arg-type]
    with pytest.raises(OptimError, match="accumulative_counts must be a whole number, 1 or more, got 1.5"):
        OptimWrapper(optimizer, accumulative_counts=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("slip", "meant"), [("SDG", "SGD"), ("Adm", "Adam"), ("AdamWW", "AdamW")])
def test_slip_in_an_optimizer_that_is_found_at_look_up(slip: str, meant: str) -> None:
    from eng.runner.schema import SCHEMA

    findings = check({"optim_wrapper": {"optimizer": {"type": slip, "lr": 0.1}}}, SCHEMA)
    [finding] = [each for each in findings if each.path == "optim_wrapper.optimizer.type"]
    assert finding.is_certain
    assert repr(meant) in finding.message


def test_custom_key_that_a_hook_reads_reaches_its_group() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.Linear(1, 1))
    optimizer = {"type": "SGD", "lr": 0.1}
    cfg = {"optimizer": optimizer, "paramwise_cfg": {"custom_keys": {"1": {"fix_lr": True}}}}
    groups = build_optim_wrapper(model, cfg).optimizer.param_groups
    assert sorted(group.get("fix_lr", False) for group in groups) == [False, False, True, True]
    cfg["paramwise_cfg"] = {"custom_keys": {"1": {"lr_mul": 0.1}}}
    with pytest.raises(OptimError, match=r"a parameter group has no 'lr_mul'.*lr_mult"):
        build_optim_wrapper(model, cfg)
