from __future__ import annotations

import sys
from collections import OrderedDict
from types import ModuleType

import pytest
import torch
from torch import nn

from eng.optim import OPTIMIZERS, build_optim_wrapper
from eng.optim.optimizer import _by_name
from eng.registry import InstalledClass


class ModulatedDeformConv2d(nn.Module):
    """Stands for mmcv's, which is known by its name."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 1, 3, 3))
        self.bias = nn.Parameter(torch.ones(1))
        self.conv_offset = nn.Conv2d(2, 18, 3)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.conv = nn.Conv2d(3, 4, 3)
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.bn = nn.BatchNorm2d(4)
        self.ln = nn.LayerNorm(4)
        self.rms = nn.RMSNorm(4)
        self.dcn = ModulatedDeformConv2d()


class Manual(nn.Module):
    """The model of the manual's chapter on optimizer wrappers."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.ModuleDict({"layer0": nn.Linear(1, 1), "layer1": nn.Linear(1, 1)})
        self.head = nn.Sequential(OrderedDict(linear=nn.Linear(1, 1), bn=nn.BatchNorm1d(1)))


NORMS = {"bn.weight", "bn.bias", "ln.weight", "ln.bias", "rms.weight"}


OFFSETS = {"dcn.conv_offset.weight", "dcn.conv_offset.bias"}


RULES = {
    "lr_mult": (0, {name for name, _ in Net().named_parameters()}),
    "decay_mult": (1, {name for name, _ in Net().named_parameters()}),
    "bias_lr_mult": (0, {"conv.bias", "depthwise.bias", "dcn.bias"}),
    "bias_decay_mult": (1, {"conv.bias", "depthwise.bias", "dcn.bias"}),
    "norm_decay_mult": (1, NORMS),
    "dwconv_decay_mult": (1, {"depthwise.weight", "depthwise.bias"}),
    "flat_decay_mult": (1, NORMS | {"scale", "conv.bias", "depthwise.bias", "dcn.bias"}),
    "dcn_offset_lr_mult": (0, OFFSETS),
}


class TestByName:
    def test_all_of_torch_is_there(self):
        for name in torch.optim.__all__:
            found = getattr(torch.optim, name)
            if isinstance(found, type) and issubclass(found, torch.optim.Optimizer) and name != "Optimizer":
                assert OPTIMIZERS.get("TorchAdafactor" if name == "Adafactor" else name) is found

    @pytest.fixture
    def names(self):
        kept = dict(OPTIMIZERS.module_dict)
        yield OPTIMIZERS.module_dict
        OPTIMIZERS.module_dict.clear()
        OPTIMIZERS.module_dict.update(kept)

    @pytest.fixture
    def elsewhere(self, monkeypatch):
        """Stand-ins for packages with optimizers; importing them is noted."""

        class Lion(torch.optim.SGD):
            pass

        class Adafactor(torch.optim.SGD):
            pass

        for name, contents in (
            ("lion_pytorch", {"Lion": Lion}),
            ("bitsandbytes", {}),
            ("bitsandbytes.optim", {"Lion": Lion, "Adam8bit": Lion, "SGD": Lion}),
            ("transformers", {"Adafactor": Adafactor}),
        ):
            module = ModuleType(name)
            module.__dict__.update(contents)
            monkeypatch.setitem(sys.modules, name, module)
        return {"lion_pytorch", "bitsandbytes", "transformers"}.__contains__

    def test_optimizers_of_other_packages(self, names, elsewhere):
        names.clear()
        _by_name.register_optimizers(elsewhere)
        model = Manual()
        for name, kind in {"Lion": "Lion", "bnb_Lion": "Lion", "Adam8bit": "Lion", "Adafactor": "Adafactor"}.items():
            wrapper = build_optim_wrapper(model, {"optimizer": {"type": name, "lr": 0.1}})
            assert type(wrapper.optimizer).__name__ == kind
        assert names["TorchAdafactor"] is torch.optim.Adafactor
        assert names["SGD"] is torch.optim.SGD
        assert "bnb_SGD" in names

    def test_without_transformers_adafactor_is_torchs(self, names):
        names.clear()
        _by_name.register_optimizers(lambda package: False)
        assert names["Adafactor"] is names["TorchAdafactor"] is torch.optim.Adafactor
        assert "Lion" not in names

    def test_a_package_is_imported_when_its_optimizer_is_used(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "lion_pytorch", raising=False)
        lazy = InstalledClass("lion_pytorch", "Lion")
        assert lazy.__name__ == "Lion"
        assert "lion_pytorch" not in sys.modules

    def test_a_clash_is_warned_about_and_the_users_class_counts(self, names, caplog):
        names.clear()

        class Muon(torch.optim.SGD):
            pass

        with caplog.at_level("INFO", "eng.registry"):
            OPTIMIZERS.register_module(module=Muon)
            _by_name.register_optimizers(lambda package: False)
        assert names["Muon"] is Muon
        assert "keeps the name 'Muon'" in caplog.text

    def test_a_users_class_takes_the_name_after_the_import_too(self, names, caplog):
        names.clear()
        _by_name.register_optimizers(lambda package: False)

        class Adam(torch.optim.SGD):
            pass

        with caplog.at_level("INFO", "eng.registry"):
            OPTIMIZERS.register_module(module=Adam)
        assert names["Adam"] is Adam
        assert "takes the name 'Adam'" in caplog.text

    def test_registering_again_is_fine(self, names, heard):
        before = dict(names)
        _by_name.register_optimizers()
        assert dict(names) == before
        assert "the name" not in heard.text
