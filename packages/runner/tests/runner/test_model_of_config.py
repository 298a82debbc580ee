"""The model that a command or an inferencer builds from a config is the model of the config's run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from eng.config import Config
from eng.infer import BaseInferencer
from eng.runner import Runner

CFG = dict(
    model=dict(type="torch.nn.Linear", in_features=2, out_features=3),
    loss=dict(type="CrossEntropyLoss", label_smoothing=0.25),
    data_preprocessor=dict(type="ImgDataPreprocessor", mean=[1.0], std=[2.0]),
)


class Scores(BaseInferencer):
    def _init_pipeline(self, cfg: Any) -> Any:
        return lambda item: item

    def visualize(self, inputs: Any, preds: Any, show: bool = False) -> None:
        return None

    def postprocess(self, preds: Any, visualization: Any, return_datasample: bool = False) -> Any:
        return preds


def built_by_commands(cfg: Config) -> torch.nn.Module:
    model: torch.nn.Module = pytest.importorskip("eng.cli").Services().build_model(cfg)
    return model


@pytest.mark.parametrize("built", [built_by_commands, lambda cfg: Scores(cfg).model], ids=["commands", "inferencer"])
def test_loss_and_preprocessor_beside_the_model_belong_to_it(built: Any, tmp_path: Path) -> None:
    model, of_run = built(Config(CFG)), Runner.from_cfg(Config(dict(CFG, work_dir=str(tmp_path)))).model
    assert str(model) == str(of_run)
    assert model.loss_function.label_smoothing == 0.25
    assert list(model.state_dict()) == list(of_run.state_dict())
    ours, theirs = (dict(each.data_preprocessor.named_buffers()) for each in (model, of_run))
    assert ours.keys() == theirs.keys() != set()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_flops_of_a_plain_module_have_its_own_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli = pytest.importorskip("eng.cli")
    pytest.importorskip("eng.analysis")
    (tmp_path / "a.py").write_text(Config(CFG).pretty_text)
    assert cli.main(["flops", str(tmp_path / "a.py"), "--shape", "2"]) == 0
    assert "network" not in capsys.readouterr().out
