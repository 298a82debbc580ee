from __future__ import annotations

import pytest
import torch

from eng.hooks import EMAHook, Hook


class Weights(Hook):
    """Notes the weight after each training iteration and in each validation."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.trained: list[float] = []
        self.validated: list[float] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.trained.append(runner.model.fit.weight.item())

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.validated.append(runner.model.fit.weight.item())


def averages(begin, weights, momentum) -> list[float]:
    """The average after each weight; the first step takes the weight itself."""
    kept, found = begin, []
    for step, weight in enumerate(weights):
        kept = weight if step == 0 else (1 - momentum) * kept + momentum * weight
        found.append(kept)
    return found


def test_validation_uses_the_average_and_training_goes_on_with_its_weights(make_runner, parts) -> None:
    seen = Weights()
    make_runner(**parts.validation(acc=[1]), custom_hooks=[dict(type="EMAHook", momentum=0.3), seen]).train()
    expected = averages(0.5, seen.trained, 0.3)
    assert seen.validated[0] == pytest.approx(expected[3], rel=1e-5)
    assert seen.validated[-1] == pytest.approx(expected[7], rel=1e-5)
    plain = Weights()
    make_runner(custom_hooks=[plain]).train()
    assert plain.trained == seen.trained


def test_a_checkpoint_holds_the_average_as_weights_and_the_weights_beside_it(make_runner, tmp_path) -> None:
    seen = Weights()
    make_runner(custom_hooks=[dict(type="EMAHook", momentum=0.3), seen]).train()
    saved = torch.load(tmp_path / "run" / "epoch_2.pth")
    assert float(saved["state_dict"]["fit.weight"]) == pytest.approx(averages(0.5, seen.trained, 0.3)[-1], rel=1e-5)
    assert float(saved["ema_state_dict"]["module.fit.weight"]) == seen.trained[-1]


@pytest.mark.parametrize("begin", [dict(begin_epoch=2), dict(begin_iter=5)], ids=["epoch", "iteration"])
def test_an_average_that_begins_later_follows_the_weights_until_then(make_runner, begin) -> None:
    seen, hook = Weights(), EMAHook(momentum=0.3, **begin)
    make_runner(custom_hooks=[hook, seen]).train()
    assert float(hook.ema_model.module.fit.weight) == pytest.approx(averages(0, seen.trained[4:], 0.3)[-1], rel=1e-5)


def test_a_resumed_average_goes_on(make_runner, tmp_path) -> None:
    ema = dict(type="EMAHook", momentum=0.3)
    make_runner(work_dir=tmp_path / "whole", custom_hooks=[ema]).train()
    make_runner(work_dir=tmp_path / "parts", custom_hooks=[ema], train_cfg=dict(max_epochs=1)).train()
    make_runner(work_dir=tmp_path / "parts", custom_hooks=[ema], resume=True).train()
    ends = [torch.load(tmp_path / name / "epoch_2.pth") for name in ("whole", "parts")]
    assert torch.equal(ends[0]["state_dict"]["fit.weight"], ends[1]["state_dict"]["fit.weight"])
    assert int(ends[1]["ema_state_dict"]["steps"]) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(begin_iter=-1), "must not be negative"),
        (dict(begin_iter=1, begin_epoch=1), "either begin_iter or begin_epoch"),
        (dict(begin_epoch=9), "begin_epoch is 9, but the run ends at 2"),
        (dict(begin_iter=9), "begin_iter is 9, but the run ends at 8"),
    ],
    ids=["negative", "both", "epoch", "iter"],
)
def test_an_average_that_cannot_begin(make_runner, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        make_runner(custom_hooks=[EMAHook(**options)]).train()
