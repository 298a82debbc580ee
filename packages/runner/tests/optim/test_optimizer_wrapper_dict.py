from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.optim import OptimWrapper, OptimWrapperDict


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
