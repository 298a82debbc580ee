from __future__ import annotations

import sys

import pytest

from eng.registry import RUNNERS, Registry
from eng.registry.errors import UnknownTypeError


def test_runner_that_nobody_registered() -> None:
    with pytest.raises(KeyError, match=r"'Runr' is not in the \w+::runner registry"):
        RUNNERS.build(dict(runner_type="Runr"))
    with pytest.raises(TypeError, match="cfg must be a mapping"):
        RUNNERS.build(3)


def test_slip_of_a_short_name_is_near(tree) -> None:
    tree["base"].register_module(name="GPT", module=dict)
    with pytest.raises(KeyError, match="'GTP' is not in the base::model registry.*did you mean 'GPT'?"):
        tree["base"].build(dict(type="GTP"))


def test_names_in_reach_come_before_those_of_other_scopes(tree) -> None:
    for scope, name in (("base", "Resize"), ("alpha", "Resised"), ("beta", "Crop"), ("beta", "torchvision/Crop")):
        tree[scope].register_module(name=name, module=dict)
    with pytest.raises(KeyError, match=r"did you mean 'Resize'\?"):
        tree["beta"].build(dict(type="Resise"))
    with pytest.raises(KeyError, match=r"did you mean 'beta.Crop'\?"):
        tree["alpha"].build(dict(type="Crpo"))
    with pytest.raises(KeyError, match=r"did you mean 'beta.Crop'\?"):
        tree["alpha"].build(dict(type="beta.crop"))


class TestAbsentPackages:
    """Names of packages that are not installed: the error says which package to install."""

    def test_a_noted_name_leads_to_its_package(self) -> None:
        tools = Registry("tool", scope="example")
        tools.register_module("Sawmill", module=dict)
        tools.register_absent(["Saw", "Drill"], "saw-tools")
        tools.register_absent(["Saw"], "other-tools")
        child = Registry("tool", parent=tools, scope="below")
        for registry, name in ((tools, "Saw"), (child, "Drill"), (tools, "sawtools.Saw")):
            with pytest.raises(
                UnknownTypeError, match="in the package saw-tools, which is not installed: pip install saw-tools"
            ):
                registry.build({"type": name})
        with pytest.raises(UnknownTypeError, match=r"^(?!.*pip install)"):
            tools.build({"type": "Hammer"})

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("mmpretrain.Resize", "in the package mmpretrain, which is not installed"),
            ("collections.abc.Resize", "the module 'collections.abc' has no 'Resize'"),
        ],
    )
    def test_what_stands_in_front_of_a_noted_name_comes_first(self, name: str, reason: str) -> None:
        tools = Registry("tool", scope="example")
        tools.register_absent(["Resize"], "torchvision")
        with pytest.raises(UnknownTypeError, match=reason):
            tools.build({"type": name})

    @pytest.mark.parametrize(
        ("path", "package"),
        [
            ("lion_pytorch.Lion", "lion-pytorch"),
            ("sklearn.metrics.Missing", "scikit-learn"),
            ("monai.networks.UNet", "monai"),
        ],
    )
    def test_a_path_into_a_well_known_library_does_too(self, monkeypatch, path: str, package: str) -> None:
        monkeypatch.setitem(sys.modules, path.partition(".")[0], None)  # no import succeeds
        with pytest.raises(UnknownTypeError, match=rf"pip install {package}\n"):
            Registry("tool", scope="example").build({"type": path})

    def test_a_slip_of_a_scope_is_no_package(self) -> None:
        tools = Registry("tool", scope="example")
        with pytest.raises(UnknownTypeError, match=r"no scope 'exampel' .*did you mean 'example'\?\n"):
            tools.build({"type": "exampel.Saw"})
