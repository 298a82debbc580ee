from __future__ import annotations

import pytest
import torch
from checkpoint_parts import Net, load_with_report, same
from torch import nn

from eng.checkpoint import StateMismatchError, load_checkpoint, load_state_dict


class TestReport:
    def test_everything_fits(self, saved):
        net, path = saved
        model = Net()
        report = load_with_report(model, path)
        assert report.fits
        assert report.share == 1.0
        assert len(report.matched) == len(net.state_dict())
        assert same(model, net)

    def test_each_kind_of_misfit_is_named(self):
        state = Net().state_dict()
        del state["head.bias"]
        state["head.weight"] = torch.ones(5, 3)
        state["neck.weight"] = torch.ones(1)
        model = Net()
        report = load_state_dict(model, state, logger="silent")
        assert report.missing == ("head.bias",)
        assert report.unexpected == ("neck.weight",)
        assert report.wrong_shape == {"head.weight": ((1, 3), (5, 3))}
        assert report.num_parameters == 2 * 3 + 3 + 3 + 3 + 3 + 1
        assert report.num_loaded == report.num_parameters - 4
        assert torch.equal(model.backbone[0].weight, state["backbone.0.weight"])
        text = str(report)
        for part in (
            "78.9%",
            "head.weight: the model has (1, 3), the file (5, 3)",
            "missing in the file (1)",
            "neck.weight",
        ):
            assert part in text

    def test_the_checkpoint_of_another_model(self, capsys):
        load_state_dict(Net(), {"encoder.block.weight": torch.ones(1)})
        out = capsys.readouterr().out
        assert "0.0%" in out
        assert "checkpoint of another model" in out
        assert "'backbone.0.weight'" in out
        assert "'encoder.block.weight'" in out

    def test_strict_raises_with_the_report_but_loads_what_fits(self, saved):
        net, path = saved
        model = nn.ModuleDict({"head": nn.Linear(3, 1)})
        with pytest.raises(StateMismatchError, match=r"not in the model \(7\)") as caught:
            load_checkpoint(model, path, strict=True)
        assert isinstance(caught.value, RuntimeError)
        assert caught.value.report.matched == ("head.weight", "head.bias")
        assert torch.equal(model["head"].weight, net.head.weight)

    def test_tied_parameters_count_once(self):
        model = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
        model["b"].weight = model["a"].weight
        assert load_state_dict(model, model.state_dict()).num_parameters == 4

    def test_what_the_callback_raises_stops_the_load(self, saved):
        def demand(report):
            raise RuntimeError(f"only {report.share}")

        with pytest.raises(RuntimeError, match=r"only 1\.0"):
            load_checkpoint(Net(), saved[1], on_report=demand)
