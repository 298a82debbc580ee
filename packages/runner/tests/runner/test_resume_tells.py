"""A resume names each difference between the saved run and this one, and which value wins."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import Runner
from eng.runner.errors import ResumeError, SettingsError
from eng.runner.passport.runs import compare, find_starts


class Numbers(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __init__(self, length: int = 8, shift: float = 0.0) -> None:
        self.values = torch.linspace(0, 1, length) + shift

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"inputs": self.values[index]}


class Scale(BaseModel):
    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(start))

    def forward(self, inputs: Any, mode: str = "tensor") -> dict[str, torch.Tensor]:
        return {"loss": (torch.stack(list(inputs)) * self.weight).square().mean()}


class Rates(Hook):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.seen.append(runner.optim_wrapper.get_lr()["lr"][0])


BASE: dict[str, Any] = dict(
    train_dataloader=dict(dataset=dict(type=Numbers), batch_size=4, num_workers=0),
    train_cfg=dict(by_epoch=True, max_epochs=2),
    optim_wrapper=dict(
        optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=0.0, dampening=0.0, nesterov=False),
        clip_grad=dict(max_norm=10.0),
        accumulative_counts=1,
    ),
    randomness=dict(seed=1),
    default_hooks=dict(logger=dict(type="LoggerHook", interval=1), checkpoint=dict(type="CheckpointHook", interval=1)),
    log_processor=dict(window_size=10),
    auto_scale_lr=dict(enable=False, base_batch_size=4),
    model=dict(type=Scale, start=1.0),
)


def run(cfg: dict[str, Any], folder: Path, **more: Any) -> Runner:
    runner = Runner.from_cfg({**cfg, "work_dir": str(folder), "log_level": "INFO", **more})
    runner.train()
    return runner


def rates_of(runner: Runner) -> list[float]:
    return next(hook.seen for hook in runner.hooks if isinstance(hook, Rates))


def said(folder: Path) -> str:
    newest = max(folder.glob("*/*.log"), key=lambda path: path.stat().st_mtime_ns)
    return newest.read_text(encoding="utf-8")


def test_twenty_planted_differences_are_named(tmp_path: Path) -> None:
    run(BASE, tmp_path)
    path = tmp_path / "epoch_2.pth"
    saved = torch.load(path, weights_only=True)
    facts = saved["run_state"]["facts"]
    facts["world_size"] = 4
    facts["versions"]["torch"] = "1.0.0"
    facts["versions"]["python"] = "3.1.4"
    facts["code"]["revision"] = "0123abcd"
    facts["code"]["diff"] = "cafe"
    torch.save(saved, path)
    cfg = copy.deepcopy(BASE)
    cfg["train_cfg"]["max_epochs"] = 3
    cfg["train_dataloader"]["batch_size"] = 2
    cfg["train_dataloader"]["dataset"].update(length=12, shift=3.0)
    cfg["optim_wrapper"]["optimizer"].update(lr=0.2, momentum=0.8, weight_decay=0.1, nesterov=True)
    cfg["optim_wrapper"]["clip_grad"]["max_norm"] = 5.0
    cfg["optim_wrapper"]["accumulative_counts"] = 2
    cfg["randomness"]["seed"] = 2
    cfg["default_hooks"]["logger"]["interval"] = 2
    cfg["log_processor"]["window_size"] = 5
    cfg["auto_scale_lr"]["base_batch_size"] = 8
    cfg["model"]["start"] = 2.0
    run(cfg, tmp_path, resume=str(path))
    text = said(tmp_path)
    report = text[text.index("Resuming from") :]
    planted = [
        "train_cfg.max_epochs: 2 in the checkpoint and 3 now",
        "train_dataloader.batch_size: 4 in the checkpoint and 2 now",
        "train_dataloader.dataset.length: absent in the checkpoint and 12 now",
        "train_dataloader.dataset.shift: absent in the checkpoint and 3.0 now",
        "lr of 1 parameter group is 0.1 in the checkpoint, which is used, and 0.2",
        "momentum of 1 parameter group is 0.9 in the checkpoint, which is used, and 0.8",
        "weight_decay of 1 parameter group is 0.0 in the checkpoint, which is used, and 0.1",
        "nesterov of 1 parameter group is False in the checkpoint, which is used, and True",
        "optim_wrapper.clip_grad.max_norm: 10.0 in the checkpoint and 5.0 now; the new value is used",
        "optim_wrapper.accumulative_counts: 1 in the checkpoint and 2 now; the new value is used",
        "The seed is 2 and was 1",
        "default_hooks.logger.interval: 1 in the checkpoint and 2 now",
        "log_processor.window_size: 10 in the checkpoint and 5 now",
        "auto_scale_lr.base_batch_size: 4 in the checkpoint and 8 now",
        "model.start: 1.0 in the checkpoint and 2.0 now; the model of now is built",
        "world size: 4 in the checkpoint and 1 now",
        "version of torch: 1.0.0 in the checkpoint and",
        "version of python: 3.1.4 in the checkpoint and",
        "code, revision: 0123abcd in the checkpoint and",
        "code, diff: cafe in the checkpoint and",
        "training data, length: 8 in the checkpoint and 12 now",
        "training data, fingerprint: ",
    ]
    assert [line for line in planted if line not in report] == []
    named = [line for line in report.splitlines() if line.startswith("  - ")]
    # work_dir, log_level are equal; nothing else may be named.
    assert len(named) == len(planted), named


def test_a_resume_of_the_same_run_names_nothing(tmp_path: Path) -> None:
    run(BASE, tmp_path)
    run(BASE, tmp_path, resume=True)
    assert "Resuming from" not in said(tmp_path)


def test_take_uses_the_new_rate_and_leaves_the_momentum(tmp_path: Path) -> None:
    run(BASE, tmp_path)
    cfg = copy.deepcopy(BASE)
    cfg["train_cfg"]["max_epochs"] = 3
    cfg["optim_wrapper"]["optimizer"].update(lr=0.25, momentum=0.5)
    runner = run(cfg, tmp_path, custom_hooks=[Rates()], resume=dict(take=["optim_wrapper.optimizer.lr"]))
    group = runner.optim_wrapper.param_groups[0]
    assert rates_of(runner) == [0.25, 0.25]
    assert (group["lr"], group["momentum"]) == (0.25, 0.9)
    assert "0.25 in the config, which is taken" in said(tmp_path)


def test_take_of_a_rate_follows_the_schedule_from_the_new_base(tmp_path: Path) -> None:
    halves = dict(type="StepLR", step_size=1, gamma=0.5, by_epoch=True)
    run({**BASE, "param_scheduler": halves}, tmp_path)
    cfg = copy.deepcopy({**BASE, "param_scheduler": halves})
    cfg["train_cfg"]["max_epochs"] = 4
    cfg["optim_wrapper"]["optimizer"]["lr"] = 0.8
    runner = run(cfg, tmp_path, custom_hooks=[Rates()], resume=dict(take=["optim_wrapper.optimizer"]))
    assert rates_of(runner) == pytest.approx([0.2, 0.2, 0.1, 0.1])  # 0.8 / 2**2 in epoch 3


def test_take_of_schedules_replaces_them(tmp_path: Path) -> None:
    run({**BASE, "param_scheduler": dict(type="StepLR", step_size=1, gamma=0.5)}, tmp_path)
    cfg = copy.deepcopy(BASE)
    cfg["train_cfg"]["max_epochs"] = 4
    cfg["param_scheduler"] = [
        dict(type="ConstantLR", factor=0.5, end=3, by_epoch=True),
        dict(type="ExponentialLR", gamma=0.1, begin=3, by_epoch=True),
    ]
    resumed = run(cfg, tmp_path, custom_hooks=[Rates()], resume=dict(take=["param_scheduler"]))
    fresh = run(cfg, tmp_path / "fresh", custom_hooks=[Rates()])
    assert rates_of(resumed) == pytest.approx(rates_of(fresh)[4:])
    assert len(rates_of(resumed)) == 4


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (dict(type="CosineAnnealingLR", T_max=2), dict(type="CosineAnnealingLR", T_max=6)),
        (
            dict(type="LinearLR", start_factor=1.0, end_factor=0.0, end=2),
            dict(type="LinearLR", start_factor=1.0, end_factor=0.0, end=6),
        ),
        (dict(type="MultiStepLR", milestones=[1]), dict(type="MultiStepLR", milestones=[1, 3, 5])),
        (dict(type="PolyLR", power=1.0, end=2), dict(type="PolyLR", power=1.0, end=6)),
        (
            dict(type="CosineAnnealingLR", T_max=2, convert_to_iter_based=True),
            dict(type="CosineAnnealingLR", T_max=6, convert_to_iter_based=True),
        ),
        (dict(type="CosineAnnealingLR", T_max=2, end=2), dict(type="CosineAnnealingLR", T_max=6, end=6)),
    ],
    ids=["T_max", "end", "milestones", "poly", "by iteration", "T_max and end"],
)
def test_a_longer_run_follows_the_longer_schedule(before: dict[str, Any], now: dict[str, Any], tmp_path: Path) -> None:
    run({**BASE, "param_scheduler": before}, tmp_path / "run")
    cfg = copy.deepcopy({**BASE, "param_scheduler": now})
    cfg["train_cfg"]["max_epochs"] = 6
    resumed = run(cfg, tmp_path / "run", custom_hooks=[Rates()], resume=True)
    fresh = run(cfg, tmp_path / "fresh", custom_hooks=[Rates()])
    assert rates_of(resumed) == pytest.approx(rates_of(fresh)[4:])
    assert len(rates_of(resumed)) == 8 and rates_of(resumed)[1] > 0


@pytest.mark.parametrize(
    ("resume", "message"),
    [
        (dict(takes=["a"]), "resume takes checkpoint and take, not 'takes'"),
        (dict(take="optim_wrapper"), "take must be a list of dotted keys"),
        (dict(take=["optim_wrapper.optimizer.lrr"]), r"'optim_wrapper.optimizer.lrr', which neither run's config has"),
    ],
    ids=["key", "text", "unknown"],
)
def test_a_wrong_take_is_refused(resume: dict[str, Any], message: str, tmp_path: Path) -> None:
    run(BASE, tmp_path)
    with pytest.raises(SettingsError, match=message):
        run(BASE, tmp_path, resume=resume)
    logging.getLogger("eng").handlers.clear()


def test_the_start_says_which_values_are_used_and_how_to_take_those_of_the_config(tmp_path: Path) -> None:
    run(BASE, tmp_path)
    assert "SGD, lr 0.1, momentum 0.9" in said(tmp_path)
    cfg = copy.deepcopy(BASE)
    cfg["train_cfg"]["max_epochs"] = 3
    cfg["optim_wrapper"]["optimizer"].update(lr=0.25, momentum=0.5, weight_decay=0.1)
    cfg["optim_wrapper"]["accumulative_counts"] = 2
    cfg["param_scheduler"] = dict(type="StepLR", step_size=1, gamma=0.5)
    take = ["optim_wrapper.optimizer.weight_decay", "param_scheduler"]
    run(cfg, tmp_path, resume=dict(take=take))
    lines = {line.split()[0]: line for line in said(tmp_path).splitlines() if line.startswith("  ")}
    assert "SGD, lr 0.1, momentum 0.9, weight_decay 0.1, each update over 2 batches" in lines["optimizer"]
    assert "StepLR" in lines["schedule"]
    assert lines["resumed"].partition("resumed")[2].strip() == (
        "optim_wrapper.optimizer.lr=0.1, optim_wrapper.optimizer.momentum=0.9 from the checkpoint, not from the config; "
        "--resume-take optim_wrapper.optimizer.lr --resume-take optim_wrapper.optimizer.momentum takes the config's"
    )
    rows = compare(*find_starts(tmp_path))
    shown = {key: (before, now) for section, key, before, now in rows if section == "config"}
    assert shown["optim_wrapper.optimizer.lr"] == ("0.1", "0.1 (of the checkpoint; the config's 0.25 is not used)")
    assert shown["optim_wrapper.optimizer.weight_decay"] == ("0.0", "0.1")
    assert shown["optim_wrapper.accumulative_counts"] == ("1", "2")


def test_a_number_of_schedules_that_does_not_fit_names_the_option_that_takes_the_new_ones(tmp_path: Path) -> None:
    run(BASE, tmp_path)
    cfg = {**BASE, "param_scheduler": dict(type="StepLR", step_size=1, gamma=0.5), "train_cfg": dict(max_epochs=3)}
    with pytest.raises(
        ResumeError, match=r"the run has 1 parameter scheduler and the checkpoint 0; --resume-take param_scheduler,"
    ):
        run(cfg, tmp_path, resume=True)
    logging.getLogger("eng").handlers.clear()
    assert rates_of(run(cfg, tmp_path, custom_hooks=[Rates()], resume=dict(take=["param_scheduler"]))) == [0.025, 0.025]


class Averaging(torch.optim.SGD):
    """Keeps sums among its defaults, as schedule-free optimizers do."""

    def __init__(self, params: Any, lr: float, momentum: float = 0.0, **options: Any) -> None:
        super().__init__(params, lr=lr, momentum=momentum, **options)
        for group in [self.defaults, *self.param_groups]:
            group.update(k=0, weight_sum=0.0)

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["k"] += 1
            group["weight_sum"] += group["lr"]
        return super().step(closure)


def test_the_state_in_an_optimizers_groups_is_no_setting(tmp_path: Path) -> None:
    cfg = copy.deepcopy(BASE)
    cfg["optim_wrapper"]["optimizer"] = dict(type=Averaging, lr=0.1, momentum=0.9, weight_decay=0.0)
    run(cfg, tmp_path)
    cfg["train_cfg"]["max_epochs"] = 3
    cfg["optim_wrapper"]["optimizer"].update(weight_decay=0.1)
    runner = run(cfg, tmp_path, resume=dict(take=["optim_wrapper.optimizer"]))
    group = runner.optim_wrapper.param_groups[0]
    assert (group["k"], group["weight_decay"]) == (6, 0.1)
    assert group["weight_sum"] == pytest.approx(0.6)
    report = said(tmp_path)
    lines = report[report.index("Resuming from") :].splitlines()[1:3]
    assert [line.partition(" in the checkpoint")[0] for line in lines] == [
        "  - optim_wrapper: weight_decay of 1 parameter group is 0.0", "  - train_cfg.max_epochs: 2",
    ]  # fmt: skip


class Pair(BaseModel):
    """A matrix and a number, for the two parts of a split optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.eye(2))
        self.weight = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, inputs: Any, mode: str = "tensor") -> dict[str, torch.Tensor]:
        return {"loss": self.weight * self.matrix.sum() * torch.stack(list(inputs)).mean()}


@pytest.mark.parametrize(
    ("take", "decays"),
    [
        (["optim_wrapper.optimizer.weight_decay"], [0.7, 0.2]),
        (["optim_wrapper.optimizer.split.weight_decay"], [0.1, 0.8]),
        (["optim_wrapper.optimizer"], [0.7, 0.8]),
    ],
)
def test_take_reaches_each_part_of_a_split_optimizer(take: list[str], decays: list[float], tmp_path: Path) -> None:
    cfg = {**copy.deepcopy(BASE), "model": dict(type=Pair)}
    rest = dict(type="AdamW", lr=1e-3, ndim=2, weight_decay=0.2)
    cfg["optim_wrapper"]["optimizer"] = dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=0.1, split=rest)
    run(cfg, tmp_path)
    cfg["train_cfg"]["max_epochs"] = 3
    cfg["optim_wrapper"]["optimizer"]["weight_decay"] = 0.7
    rest["weight_decay"] = 0.8
    runner = run(cfg, tmp_path, resume=dict(take=take))
    assert [group["weight_decay"] for group in runner.optim_wrapper.optimizer.param_groups] == decays
    report = said(tmp_path)
    told = [line for line in report[report.index("Resuming from") :].splitlines() if "decay" in line and "  - " in line]
    assert [line.partition(" of 1 ")[0] for line in told] == [
        "  - optim_wrapper: weight_decay", "  - optim_wrapper: split.weight_decay",
    ]  # fmt: skip
