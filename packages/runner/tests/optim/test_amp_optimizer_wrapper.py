from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from eng.optim import AmpOptimWrapper, OptimWrapper, build_optim_wrapper


def amp(model, **settings):
    return AmpOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1), **settings)


class TestAmp:
    @pytest.mark.parametrize(
        ("dtype", "computed", "scaled"),
        [
            (None, torch.bfloat16, False),
            ("bfloat16", torch.bfloat16, False),
            (torch.bfloat16, torch.bfloat16, False),
            ("float16", torch.float16, True),
            ("float32", torch.float32, False),
        ],
        ids=str,
    )
    def test_computes_in_the_type_and_scales_for_float16_only(self, dtype, computed, scaled):
        model = nn.Linear(4, 2)
        wrapper = amp(model, dtype=dtype, loss_scale=128.0)
        with wrapper.optim_context(model):
            output = model(torch.ones(3, 4))
        assert output.dtype is computed
        assert wrapper.loss_scaler.is_enabled() is scaled
        before = model.weight.detach().clone()
        wrapper.update_params(output.float().sum())
        assert not torch.equal(model.weight, before)
        assert wrapper.update_count == 1

    def test_the_registered_name_trains_without_a_gpu(self):
        model = nn.Linear(4, 2)
        wrapper = build_optim_wrapper(model, {"type": "AmpOptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}})
        assert isinstance(wrapper, AmpOptimWrapper)
        assert "loss_scaler" in wrapper.state_dict()

    @pytest.mark.parametrize("clip_grad", [None, {"max_norm": 1}], ids=["no clip", "clip"])
    def test_a_scaled_update_equals_a_plain_one(self, clip_grad):
        plain, scaled = nn.Linear(4, 2), nn.Linear(4, 2)
        scaled.load_state_dict(plain.state_dict())
        data = torch.randn(3, 4)
        OptimWrapper(torch.optim.SGD(plain.parameters(), lr=0.1), clip_grad=clip_grad).update_params(plain(data).sum())
        wrapper = amp(scaled, dtype="float16", loss_scale=512.0, clip_grad=clip_grad)
        wrapper.update_params(scaled(data).sum())
        torch.testing.assert_close(scaled.weight, plain.weight, rtol=0, atol=1e-6)

    def test_a_nonfinite_gradient_is_skipped_and_lowers_the_scale(self):
        model = nn.Linear(4, 2)
        wrapper = amp(model, dtype="float16")
        before = model.weight.detach().clone()
        wrapper.update_params(model(torch.ones(1, 4)).sum() * math.inf)
        assert torch.equal(model.weight, before)
        assert wrapper.loss_scaler.get_scale() == 32768.0

    def test_a_fixed_scale_stays(self):
        model = nn.Linear(4, 2)
        wrapper = amp(model, dtype="float16", loss_scale=512)
        wrapper.update_params(model(torch.ones(1, 4)).sum() * math.inf)
        assert wrapper.loss_scaler.get_scale() == 512.0

    def test_arguments_of_the_scaler(self):
        wrapper = amp(nn.Linear(1, 1), dtype="float16", loss_scale={"init_scale": 8.0, "growth_interval": 1})
        assert wrapper.state_dict()["loss_scaler"]["scale"] == 8.0

    def test_the_scale_goes_on_after_a_restart(self):
        model = nn.Linear(4, 2)
        wrapper = amp(model, dtype="float16")
        wrapper.update_params(model(torch.ones(1, 4)).sum() * math.inf)
        other = amp(nn.Linear(4, 2), dtype="float16")
        other.load_state_dict(wrapper.state_dict())
        assert other.loss_scaler.get_scale() == 32768.0

    @pytest.mark.parametrize(
        ("first", "second"), [("float16", "bfloat16"), ("bfloat16", "float16")], ids=["to bfloat16", "to float16"]
    )
    def test_a_restart_may_change_the_type(self, first, second):
        before = amp(nn.Linear(4, 2), dtype=first)
        before.optimizer.param_groups[0]["lr"] = 0.3
        model = nn.Linear(4, 2)
        wrapper = amp(model, dtype=second)
        wrapper.load_state_dict(before.state_dict())
        assert wrapper.loss_scaler.is_enabled() is (second == "float16")
        weight = model.weight.detach().clone()
        wrapper.update_params(model(torch.ones(1, 4)).sum())
        torch.testing.assert_close(model.weight, weight - 0.3)

    def test_the_state_of_a_plain_wrapper_loads(self):
        model = nn.Linear(4, 2)
        wrapper = amp(model, dtype="float16", loss_scale=512.0)
        wrapper.load_state_dict(OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.3)).state_dict())
        assert wrapper.optimizer.param_groups[0]["lr"] == 0.3
        assert wrapper.loss_scaler.get_scale() == 512.0

    @pytest.mark.parametrize(
        ("settings", "error", "words"),
        [
            ({"dtype": "float61"}, ValueError, "did you mean .*float16"),
            ({"dtype": 16}, TypeError, "dtype must be a name or a torch.dtype, got 16"),
            ({"loss_scale": "static"}, TypeError, "loss_scale must be 'dynamic'"),
            ({"loss_scale": True}, TypeError, "loss_scale must be 'dynamic'"),
        ],
        ids=["name", "type", "word", "bool"],
    )
    def test_mistakes(self, settings, error, words):
        with pytest.raises(error, match=words):
            amp(nn.Linear(1, 1), **settings)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_float16_on_a_gpu(self):
        model = nn.Linear(4, 2).cuda()
        scale = {"init_scale": 2.0**8}  # the default of 2^16 overflows the gradients of this model
        wrapper = amp(model, clip_grad={"max_norm": 1}, accumulative_counts=2, loss_scale=scale)
        for _ in range(2):
            with wrapper.optim_context(model):
                output = model(torch.ones(3, 4, device="cuda"))
            wrapper.update_params(output.float().sum(), weight=torch.tensor(3, device="cuda"))
        assert output.dtype is torch.float16
        assert wrapper.loss_scaler.is_enabled()
        assert wrapper.update_count == 1
