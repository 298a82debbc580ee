from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from optim_parts import Manual

from eng.optim import OPTIMIZERS, build_optim_wrapper
from eng.optim.optimizer import _by_name
from eng.registry import InstalledClass


class TestByName:
    def test_all_of_torch_is_there(self):
        for name in torch.optim.__all__:
            found = getattr(torch.optim, name)
            if isinstance(found, type) and issubclass(found, torch.optim.Optimizer) and name != "Optimizer":
                registered = OPTIMIZERS.get("TorchAdafactor" if name == "Adafactor" else name)
                # Muon is a subclass that gathers matrices spread over ranks.
                assert issubclass(registered, found) if name == "Muon" else registered is found

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
        of_bitsandbytes = set(_by_name.names_of_package("bitsandbytes"))
        assert of_bitsandbytes >= {"Adam8bit", "bnb_Lion", "bnb_SGD"}
        assert of_bitsandbytes.isdisjoint({"Lion", "SGD"})
        assert _by_name.names_of_package("lion_pytorch") == ["Lion"]

    def test_without_transformers_adafactor_is_torchs(self, names):
        names.clear()
        _by_name.register_optimizers(lambda package: False)
        assert names["Adafactor"] is names["TorchAdafactor"] is torch.optim.Adafactor
        assert "Lion" not in names
        assert _by_name.names_of_package("lion_pytorch") == _by_name.names_of_package("transformers") == []

    @pytest.mark.parametrize(
        ("name", "package"),
        [("AdamWScheduleFree", "schedulefree"), ("Lion", "lion-pytorch"), ("SophiaG", "Sophia-Optimizer"), ("DAdaptAdam", "dadaptation"),
         ("PagedAdamW8bit", "bitsandbytes"), ("bnb_Adam", "bitsandbytes")],
    )  # fmt: skip
    def test_an_optimizer_of_a_missing_package_leads_to_it(self, names, name, package):
        names.clear()
        _by_name.register_optimizers(lambda package: False)
        with pytest.raises(
            KeyError, match=rf"in the package {package}, which is not installed: pip install {package}\n"
        ):
            build_optim_wrapper(Manual(), {"optimizer": {"type": name, "lr": 0.1}})

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
