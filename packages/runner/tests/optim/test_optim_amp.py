"""Mixed precision on a CPU, the scaler for float16 alone, apex, and several wrappers by name."""

from __future__ import annotations

import math
import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from eng.optim import AmpOptimWrapper, ApexOptimWrapper, OptimWrapper, OptimWrapperDict, build_optim_wrapper


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
        wrapper = amp(model, clip_grad={"max_norm": 1}, accumulative_counts=2)
        for _ in range(2):
            with wrapper.optim_context(model):
                output = model(torch.ones(3, 4, device="cuda"))
            wrapper.update_params(output.float().sum(), weight=torch.tensor(3, device="cuda"))
        assert output.dtype is torch.float16
        assert wrapper.loss_scaler.is_enabled()
        assert wrapper.update_count == 1


@pytest.fixture
def apex(monkeypatch):
    """A stand-in for apex.amp that notes what it is asked for."""
    calls = []

    @contextmanager
    def scale_loss(loss, optimizer):
        yield loss * 1

    def initialize(model, optimizer, **settings):
        calls.append((type(model).__name__, settings["opt_level"]))
        optimizer._amp_stash = True
        return model, optimizer

    amp_module = ModuleType("apex.amp")
    amp_module.__dict__.update(
        scale_loss=scale_loss,
        initialize=initialize,
        state_dict=lambda: {"scale": 2.0},
        load_state_dict=lambda state: calls.append(("loaded", state)),
    )
    package = ModuleType("apex")
    package.amp = amp_module
    monkeypatch.setitem(sys.modules, "apex", package)
    monkeypatch.setitem(sys.modules, "apex.amp", amp_module)
    return SimpleNamespace(calls=calls)


class TestApex:
    def test_hands_the_model_to_apex_once(self, apex):
        model = nn.Linear(2, 1)
        wrapper = ApexOptimWrapper(opt_level="O1", optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
        wrapper.load_state_dict(wrapper.state_dict())
        assert apex.calls == []
        for _ in range(2):
            with wrapper.optim_context(nn.DataParallel(model)):
                wrapper.update_params(model(torch.ones(1, 2)).sum())
        assert apex.calls == [("Linear", "O1"), ("loaded", {"scale": 2.0})]
        wrapper.load_state_dict(wrapper.state_dict())
        assert apex.calls[-1] == ("loaded", {"scale": 2.0})
        assert wrapper.update_count == 2

    def test_without_apex_it_says_what_to_do(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "apex", None)
        with pytest.raises(ImportError, match="AmpOptimWrapper needs nothing"):
            ApexOptimWrapper(optimizer=torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1))


class TestDict:
    @pytest.fixture
    def wrappers(self):
        models = {"gen": nn.Linear(1, 1), "disc": nn.Linear(1, 1)}
        return OptimWrapperDict(
            **{name: OptimWrapper(torch.optim.SGD(m.parameters(), lr=0.01)) for name, m in models.items()}
        )

    def test_tells_rates_and_momenta_by_name(self, wrappers):
        assert wrappers.get_lr() == {"gen.lr": [0.01], "disc.lr": [0.01]}
        assert wrappers.get_momentum() == {"gen.momentum": [0], "disc.momentum": [0]}
        assert list(wrappers.param_groups) == ["gen", "disc"]

    def test_base_rates_too(self):
        several = OptimWrapper(torch.optim.SGD([{"params": [p]} for p in nn.Linear(1, 1).parameters()], lr=0.1))
        assert OptimWrapperDict(a=several).get_lr() == {"a.base_lr": [0.1], "a.lr": [0.1, 0.1]}

    def test_is_like_a_dict(self, wrappers):
        assert list(wrappers.keys()) == ["gen", "disc"]
        assert [name for name, _ in wrappers.items()] == ["gen", "disc"]
        assert next(wrappers.values()) is wrappers["gen"]
        assert "gen" in wrappers
        assert len(wrappers) == 2
        assert "name: gen" in repr(wrappers)
        with pytest.raises(KeyError, match="there is no optimizer 'dsc'; did you mean 'disc'"):
            wrappers["dsc"]

    def test_saves_and_loads_all(self, wrappers):
        wrappers["gen"].optimizer.param_groups[0]["lr"] = 0.5
        state, window = wrappers.state_dict(), wrappers.accumulation_state()
        wrappers["gen"].optimizer.param_groups[0]["lr"] = 0.1
        wrappers.load_state_dict(state)
        wrappers.load_accumulation_state(window)
        assert wrappers.get_lr()["gen.lr"] == [0.5]
        with pytest.raises(KeyError, match="there is no optimizer 'critic'"):
            wrappers.load_state_dict({"critic": {}})

    @pytest.mark.parametrize("method", ["update_params", "backward", "step", "optim_context"])
    def test_refuses_what_needs_one_optimizer(self, wrappers, method):
        arguments = [] if method == "step" else [torch.ones(())]
        words = rf"{method} of which optimizer\? There are gen, disc"
        with pytest.raises(NotImplementedError, match=words), getattr(wrappers, method)(*arguments):
            pass

    def test_counts_the_updates_of_the_busiest(self, wrappers):
        wrapper = wrappers["disc"]
        wrapper.update_params(wrapper.optimizer.param_groups[0]["params"][0].sum())
        assert wrappers.update_count == 1
        assert OptimWrapperDict().update_count == 0

    def test_passes_on_names_and_zeroing(self, wrappers):
        whole = nn.Module()
        for name in ("gen", "disc"):
            layer = nn.Linear(1, 1)
            wrappers.optim_wrappers[name] = OptimWrapper(torch.optim.SGD(layer.parameters(), lr=0.1))
            whole.add_module(name, layer)
            layer.weight.grad = torch.ones(1, 1)
        wrappers.initialize_count_status(whole, 0, 10)
        assert wrappers.state_dict()["disc"]["param_groups"][0]["param_names"] == ["disc.weight", "disc.bias"]
        wrappers.zero_grad()
        assert all(p.grad is None for p in whole.parameters())

    def test_holds_wrappers_only(self):
        with pytest.raises(TypeError, match="'a' is SGD"):
            OptimWrapperDict(a=torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1))
