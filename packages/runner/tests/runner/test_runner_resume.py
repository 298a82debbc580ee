"""What a resume takes from the config, what from the checkpoint, and what it says of both."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from eng.hooks import Hook
from eng.runner import ResumeError


class Rates(Hook):
    """Notes the learning rate of each group in each iteration, and the weights at the start."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def before_train(self, runner) -> None:
        self.weights = {name: value.clone() for name, value in runner.model.state_dict().items()}

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.seen.append([group["lr"] for group in runner.optim_wrapper.optimizer.param_groups])

    @property
    def first_group(self) -> list[float]:
        return [rates[0] for rates in self.seen]


def optimizer(kind: str = "SGD", **settings) -> dict:
    return dict(optimizer=dict(type=kind, **{"lr": 1e-3, **settings}))


@pytest.fixture
def resume(make_runner, heard):
    """Trains two epochs, then resumes with other settings; gives the second runner, its rates and what it said."""

    def run(first: dict, second: dict, **both):
        make_runner(**{**both, **first}).train()
        rates = Rates()
        hooks = [*second.pop("custom_hooks", both.get("custom_hooks", [])), rates]
        runner = make_runner(**{"train_cfg": dict(max_epochs=4), **both, **second}, custom_hooks=hooks, resume=True)
        heard.listen(runner.logger)
        runner.train()
        return runner, rates, heard.text

    return run


# An epoch has 4 iterations; the first run has 8, the resumed one goes on to 16.
LONGER = {
    "cosine": (dict(type="CosineAnnealingLR", by_epoch=False), lambda i: (1 + math.cos(math.pi * i / 16)) / 2),
    "cosine of epochs": (
        dict(type="CosineAnnealingLR", convert_to_iter_based=True),
        lambda i: (1 + math.cos(math.pi * i / 16)) / 2,
    ),
    "poly": (dict(type="PolyLR", by_epoch=False, power=2), lambda i: (1 - i / 15) ** 2),
    "linear": (dict(type="LinearLR", by_epoch=False, start_factor=1.0, end_factor=0.0), lambda i: 1 - i / 15),
    "milestones": (dict(type="MultiStepLR", milestones=[1, 3], gamma=0.1), lambda i: 0.1 ** sum(i >= 4 * m for m in (1, 3))),
    "steps": (dict(type="StepLR", step_size=1, gamma=0.5), lambda i: 0.5 ** (i // 4)),
    "exponential": (dict(type="ExponentialLR", gamma=0.9, by_epoch=False), lambda i: 0.9**i),
}  # fmt: skip


@pytest.mark.parametrize("name", LONGER)
def test_a_longer_run_follows_the_schedule_of_its_new_length(resume, name) -> None:
    scheduler, curve = LONGER[name]
    _, rates, said = resume({}, {}, optim_wrapper=optimizer(lr=0.5), param_scheduler=scheduler)
    assert rates.first_group == pytest.approx([0.5 * curve(i) for i in range(8, 16)], abs=1e-9)
    assert f"({scheduler['type']}) follows the config: " in said


def test_a_longer_run_follows_one_cycle_over_its_new_length(resume, make_runner, tmp_path) -> None:
    settings = dict(
        optim_wrapper=optimizer(lr=0.5), param_scheduler=dict(type="OneCycleLR", eta_max=0.2, by_epoch=False)
    )
    _, rates, _ = resume({}, {}, **settings)
    planned = Rates()
    make_runner(work_dir=tmp_path / "planned", train_cfg=dict(max_epochs=4), custom_hooks=[planned], **settings).train()
    assert rates.first_group == pytest.approx(planned.first_group[8:])


def test_warmup_and_annealing_are_planned_again_together(resume, make_runner, tmp_path) -> None:
    settings = dict(
        optim_wrapper=optimizer(lr=0.5),
        param_scheduler=[
            dict(type="LinearLR", start_factor=0.1, end=5, by_epoch=False),
            dict(type="CosineAnnealingLR", eta_min=0.01, by_epoch=True),
            dict(type="ExponentialParamScheduler", param_name="weight_decay", gamma=0.5),
        ],
    )
    settings["optim_wrapper"]["optimizer"]["weight_decay"] = 0.1
    runner, rates, _ = resume({}, {}, **settings)
    planned = Rates()
    other = make_runner(work_dir=tmp_path / "planned", train_cfg=dict(max_epochs=4), custom_hooks=[planned], **settings)
    other.train()
    assert rates.first_group == pytest.approx(planned.first_group[8:])
    groups = [each.optim_wrapper.optimizer.param_groups[0] for each in (runner, other)]
    assert groups[0]["weight_decay"] == pytest.approx(groups[1]["weight_decay"])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (dict(type="StepLR", step_size=1, gamma=0.5), dict(type="StepLR", step_size=1, gamma=0.1), [1e-2, 1e-3]),
        (dict(type="MultiStepLR", milestones=[1]), dict(type="MultiStepLR", milestones=[3]), [1.0, 0.1]),
    ],
    ids=["gamma", "milestones"],
)
def test_settings_of_a_schedule_that_the_config_changed(resume, before, after, expected) -> None:
    _, rates, said = resume(dict(param_scheduler=before), dict(param_scheduler=after), optim_wrapper=optimizer(lr=1.0))
    assert rates.first_group[::4] == pytest.approx(expected)
    assert "follows the config: " in said


def test_an_unchanged_schedule_is_not_spoken_of_and_keeps_its_bits(resume) -> None:
    scheduler = dict(type="LinearLR", start_factor=0.3, end=11, by_epoch=False)
    _, rates, said = resume(
        dict(train_cfg=dict(max_epochs=2)), {}, optim_wrapper=optimizer(), param_scheduler=scheduler
    )
    assert "param_scheduler" not in said
    assert rates.first_group[3:] == [rates.first_group[3]] * 5


def test_values_of_groups_that_the_config_changed_are_told_with_both(resume) -> None:
    runner, rates, said = resume(
        dict(optim_wrapper=optimizer("AdamW", lr=0.1)),
        dict(optim_wrapper=optimizer("AdamW", lr=0.01, weight_decay=0.5, betas=(0.8, 0.9))),
    )
    assert rates.first_group == [0.1] * 8
    for line in (
        "lr of 1 parameter group is 0.1 in the checkpoint, which is used, and 0.01 in the config",
        "weight_decay of 1 parameter group is 0.01 in the checkpoint, which is used, and 0.5 in the config",
        "betas of 1 parameter group is [0.9, 0.999] in the checkpoint, which is used, and [0.8, 0.9] in the config",
    ):
        assert f"  - optim_wrapper: {line}" in said
    assert runner.optim_wrapper.optimizer.param_groups[0]["weight_decay"] == 0.01


def test_a_rate_that_a_schedule_moved_is_no_difference(resume) -> None:
    scheduler = dict(type="StepLR", step_size=1, end=9)
    _, _, said = resume({}, {}, optim_wrapper=optimizer(lr=0.1), param_scheduler=scheduler)
    assert "param_scheduler" not in said


def test_the_state_of_another_optimizer_is_refused(resume) -> None:
    with pytest.raises(ResumeError, match=r"another optimizer \(SGD\) than this run uses \(AdamW\)"):
        resume(dict(optim_wrapper=optimizer("SGD")), dict(optim_wrapper=optimizer("AdamW")))


def test_the_state_of_another_optimizer_is_refused_without_its_name(make_runner, tmp_path) -> None:
    make_runner(optim_wrapper=optimizer("AdamW")).train()
    path = tmp_path / "run" / "epoch_2.pth"
    saved = torch.load(path)
    del saved["run_state"]["optimizers"]
    torch.save(saved, path)
    with pytest.raises(ResumeError, match=r"one with \['betas'\].*with \['dampening'\]"):
        make_runner(optim_wrapper=optimizer("SGD"), resume=True, load_from=str(path)).train()


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_a_layer_of_another_width_is_refused_with_both_shapes(make_runner, parts, kind) -> None:
    make_runner(optim_wrapper=optimizer(kind)).train()
    wider = parts.Line()
    wider.fit = torch.nn.Linear(1, 3)
    with pytest.raises(ResumeError, match=r"fit\.weight \(1, 1\) in the checkpoint and \(3, 1\) in the model"):
        make_runner(model=wider, optim_wrapper=optimizer(kind), resume=True, train_cfg=dict(max_epochs=3)).train()


def test_without_its_hook_an_averaged_run_goes_on_with_its_trained_weights(resume, make_runner, tmp_path) -> None:
    first = dict(custom_hooks=[dict(type="EMAHook", momentum=0.01)])
    _, rates, said = resume(first, dict(custom_hooks=[]), optim_wrapper=optimizer(lr=0.1))
    bare = make_runner(work_dir=tmp_path / "bare", optim_wrapper=optimizer(lr=0.1))
    bare.train()
    assert torch.equal(rates.weights["fit.weight"], bare.model.fit.weight)
    assert "EMAHook: the saved run averaged its weights and this one does not" in said


@pytest.mark.parametrize("save", ["save_optimizer", "save_param_scheduler"])
def test_missing_parts_are_named(resume, save) -> None:
    hooks = dict(checkpoint=dict(type="CheckpointHook", **{save: False}))
    scheduler = dict(type="MultiStepLR", milestones=[1], end=9)
    _, rates, said = resume({}, {}, default_hooks=hooks, optim_wrapper=optimizer(lr=1.0), param_scheduler=scheduler)
    if save == "save_optimizer":
        assert rates.first_group == pytest.approx([0.1] * 8)
        assert "optimizer: missing in the checkpoint; the optimizer starts with an empty state" in said
    else:
        assert "param_schedulers: missing in the checkpoint; the schedules start anew" in said


def test_weights_alone_are_no_run(make_runner, tmp_path) -> None:
    make_runner().train()
    torch.save(torch.load(tmp_path / "run" / "epoch_2.pth")["state_dict"], tmp_path / "weights.pth")
    with pytest.raises(ResumeError, match=r"weights\.pth holds weights alone.*load_from and resume=False"):
        make_runner(load_from=str(tmp_path / "weights.pth"), resume=True).train()


class Counting(Hook):
    def __init__(self, start: int = 0) -> None:
        self.count = start

    def state_dict(self) -> dict:
        return {"count": self.count}

    def load_state_dict(self, state: dict) -> None:
        self.count = state["count"]


def test_a_hook_that_had_state_and_is_gone_is_told(resume) -> None:
    _, _, said = resume(dict(custom_hooks=[Counting(5)]), dict(custom_hooks=[]))
    assert "hooks: the checkpoint has a state of Counting, which this run lacks" in said


@pytest.mark.parametrize(("patience", "iterations"), [(1, 8), (10, 16)])
def test_a_run_that_was_stopped_early_goes_on_only_with_other_settings(
    make_runner, parts, heard, patience, iterations
) -> None:
    def settings(patience: int) -> dict:
        hook = dict(type="EarlyStoppingHook", monitor="acc", patience=patience)
        saving = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=100))
        return dict(
            custom_hooks=[hook], default_hooks=saving, train_cfg=dict(max_epochs=4), **parts.validation(acc=[0.5])
        )

    class SaveAtEnd(Hook):
        def after_train(self, runner) -> None:
            runner.save_checkpoint(runner.work_dir, "stopped.pth")

    first = make_runner(**{**settings(1), "custom_hooks": [*settings(1)["custom_hooks"], SaveAtEnd()]})
    first.train()
    assert first.iter == 8
    again = make_runner(**settings(patience), load_from=f"{first.work_dir}/stopped.pth", resume=True)
    heard.listen(again.logger)
    again.train()
    assert again.iter == iterations
    expected = "nothing is left to train" if patience == 1 else "its settings have changed, so training goes on"
    assert expected in heard.text


class AddGroup(Hook):
    """Begins to train the bias in the second epoch."""

    def before_train_epoch(self, runner) -> None:
        if runner.epoch == 1:
            runner.optim_wrapper.optimizer.add_param_group(dict(params=[runner.model.fit.bias], lr=1.0))


def weight_only(model) -> dict:
    from eng.optim import OptimWrapper

    return dict(model=model, optim_wrapper=OptimWrapper(torch.optim.SGD([model.fit.weight], lr=0.1)))


SCHEDULES = {
    # The rate of the group that is added at iteration 4, of 16, in the last iteration.
    "LinearLR": (dict(start_factor=1.0, end_factor=0.1, end=16), 0.1 / (1 - 0.9 * 4 / 15)),
    "CosineAnnealingLR": (dict(T_max=16), (1 + math.cos(math.pi * 15 / 16)) / (1 + math.cos(math.pi * 4 / 16))),
    "PolyLR": (dict(end=17, eta_min=0.0), (1 / 16) / (12 / 16)),
    "ConstantLR": (dict(factor=0.5, end=9), 2.0),
    "CosineRestartLR": (dict(periods=[16], eta_min=0.0), None),
    "ExponentialLR": (dict(gamma=0.9), 0.9**11),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_group_that_is_added_in_training_is_scheduled_too(make_runner, parts, kind) -> None:
    settings, expected = SCHEDULES[kind]
    rates = Rates()
    scheduler = dict(type=kind, by_epoch=False, **settings)
    make_runner(
        train_cfg=dict(max_epochs=4), param_scheduler=scheduler, custom_hooks=[AddGroup(), rates],
        **weight_only(parts.Line()),
    ).train()  # fmt: skip
    added = [of_groups[1] for of_groups in rates.seen[4:]]
    assert len(set(added)) > 1
    if expected is not None:
        assert added[-1] == pytest.approx(expected)


def test_a_group_that_was_added_is_there_again_after_a_resume(make_runner, parts, heard, tmp_path) -> None:
    def run(**settings):
        hooks = [AddGroup(), rates := Rates()]
        scheduler = dict(type="LinearLR", start_factor=1.0, end_factor=0.1, end=16, by_epoch=False)
        make_runner(custom_hooks=hooks, param_scheduler=scheduler, **weight_only(parts.Line()), **settings).train()
        return rates

    undisturbed = run(work_dir=tmp_path / "undisturbed", train_cfg=dict(max_epochs=4))
    run(train_cfg=dict(max_epochs=2))
    resumed = run(train_cfg=dict(max_epochs=4), resume=True)
    assert resumed.seen == undisturbed.seen[8:]
    assert "is not used" not in heard.text


def test_parameters_of_the_model_that_no_group_has_are_not_called_unknown(make_runner, parts, heard) -> None:
    make_runner(optim_wrapper=optimizer()).train()
    make_runner(train_cfg=dict(max_epochs=3), resume=True, **weight_only(parts.Line())).train()
    assert "The optimizer's state of fit.bias is not used: no parameter group of this run has them" in heard.text


class FailsInValidation(Hook):
    def before_val(self, runner) -> None:
        raise OSError("no disk")


@pytest.mark.parametrize("by_epoch", [True, False], ids=["epochs", "iterations"])
def test_a_validation_that_a_resume_runs_first_is_told(make_runner, parts, heard, by_epoch) -> None:
    """The checkpoint is written before the validation, in which the saved run failed."""
    short = dict(max_epochs=1) if by_epoch else dict(by_epoch=False, max_iters=4, val_interval=4)
    saving = dict(checkpoint=dict(type="CheckpointHook", by_epoch=by_epoch, interval=1 if by_epoch else 4))
    first = make_runner(
        train_cfg=short, default_hooks=saving, custom_hooks=[FailsInValidation()], **parts.validation(acc=[1])
    )
    with pytest.raises(OSError, match="no disk"):
        first.train()
    longer = dict(max_epochs=2) if by_epoch else dict(by_epoch=False, max_iters=8, val_interval=4)
    path = Path(first.work_dir, "epoch_1.pth" if by_epoch else "iter_4.pth")
    resumed = make_runner(train_cfg=longer, default_hooks=saving, resume=str(path), **parts.validation(acc=[1]))
    heard.listen(resumed.logger)
    resumed.train()
    told = "written at iteration 4, before the validation that is due there: validating before training goes on"
    assert told in heard.text
    assert resumed.val_evaluator.metrics[0].validations == 2
