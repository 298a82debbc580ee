from __future__ import annotations

import math

import pytest
import torch
from optim_ranks import mlp
from torch import nn

from eng.optim import OptimWrapper


def sgd(model, lr=0.5):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


class TestClip:
    def clipped(self, clip_grad, scale=100.0):
        weight = nn.Parameter(torch.ones(4))
        wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1.0), clip_grad=clip_grad)
        wrapper.update_params((weight * scale).sum())
        return (1 - weight).detach(), wrapper

    @pytest.mark.parametrize(
        ("clip_grad", "expected"),
        [
            ({"max_norm": 1}, 0.5),
            ({"type": "norm", "max_norm": 1, "norm_type": math.inf}, 1.0),
            ({"clip_value": 0.2}, 0.2),
            ({"type": "value", "clip_value": 0.2}, 0.2),
        ],
        ids=["norm", "infinity norm", "value, inferred", "value"],
    )
    def test_kinds(self, clip_grad, expected):
        given_setting = dict(clip_grad)
        update, _ = self.clipped(clip_grad)
        torch.testing.assert_close(update, torch.full((4,), expected))
        assert clip_grad == given_setting

    def test_the_norm_is_logged_without_being_read(self):
        _, wrapper = self.clipped({"max_norm": 1})
        assert float(wrapper.message_hub.get_scalar("train/grad_norm").current()) == pytest.approx(200.0)

    @pytest.mark.parametrize(
        ("clip_grad", "error", "words"),
        [
            ({}, TypeError, "clip_grad must be a mapping"),
            (5, TypeError, "got 5"),
            ({"type": "norms", "max_norm": 1}, ValueError, "did you mean 'norm'"),
            ({"max_nrom": 1}, ValueError, "takes no 'max_nrom'; did you mean 'max_norm'"),
            ({"type": "norm"}, ValueError, "needs 'max_norm'"),
            ({"type": "value", "max_norm": 1}, ValueError, "takes no 'max_norm'"),
        ],
        ids=["empty", "number", "type", "argument", "missing", "mixed"],
    )
    def test_mistakes(self, clip_grad, error, words):
        with pytest.raises(error, match=words):
            OptimWrapper(sgd(mlp()), clip_grad=clip_grad)

    def test_torch_can_be_asked_to_stop_at_a_norm_that_is_not_finite(self):
        with pytest.raises(RuntimeError, match="non-finite"):
            self.clipped({"max_norm": 1, "error_if_nonfinite": True}, scale=math.nan)
