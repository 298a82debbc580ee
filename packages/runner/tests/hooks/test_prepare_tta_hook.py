from __future__ import annotations

import pytest
from hooks_parts import evaluation

from eng.hooks import PrepareTTAHook
from eng.hooks.prepare_tta_hook import build_runner_with_tta
from eng.model import BaseTTAModel
from eng.registry import MODELS


@MODELS.register_module(force=True)
class FirstOfAll(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return [predictions[0] for predictions in data_samples_list]


def test_a_test_runs_with_the_wrapped_model(make_runner, parts) -> None:
    runner = make_runner(**{f"test_{k}": v for k, v in evaluation(parts).items()})
    hook = PrepareTTAHook(tta_cfg=dict(type="FirstOfAll"))
    bare = runner.model
    hook.before_test(runner)
    assert isinstance(runner.model, FirstOfAll)
    assert runner.model.module is bare


@pytest.mark.parametrize("missing", ["tta_model", "tta_pipeline"])
def test_augmented_tests_need_their_config(missing) -> None:
    cfg = {"tta_model": {}, "tta_pipeline": [], "test_dataloader": {"dataset": {}}}
    cfg.pop(missing)
    with pytest.raises(ValueError, match=f"test-time augmentation needs '{missing}'"):
        build_runner_with_tta(cfg)
