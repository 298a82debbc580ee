"""A type that no registry knows, held against what the sources of libraries define, register and spell out."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import pytest

from eng.registry import MODELS, TRANSFORMS, Node, Schema, check

LIBRARY = '''
"""Takes dict(type='Documented')."""
from types import SimpleNamespace
import fractions, importlib.metadata

from eng.registry import MODELS, TRANSFORMS, Registry

def resize(image): ...

class Plain: ...

OTHERS = Registry("kind of the library", scope="library_of_types")
OTHERS.register_module("Odd", module=dict)

@MODELS.register_module()
class Parent:
    def __init__(self, inner=None, pipeline=None): ...  # or Commented

@TRANSFORMS.register_module(name="torchvision/GaussianNoise")
@TRANSFORMS.register_module()
class Resize: ...

def prepare(kind):
    MODELS.register_module("Late", module=Plain)
    @MODELS.register_module()
    class Decorated: ...
    return kind.lower() == "spelt" or dict(mapped=1)
'''
NUMBERS = itertools.count()
SCHEMA = Schema(keys=frozenset({"model"}), sections={"model": Node(MODELS)}, arguments={"pipeline": Node(TRANSFORMS)})


@pytest.fixture
def library(package) -> None:
    # A name of its own for each test: the files of a package are looked up once per process.
    name = f"library_of_types_{next(NUMBERS)}"
    package(name, parts=LIBRARY)
    importlib.import_module(f"{name}.parts")


def messages(**arguments: Any) -> list[tuple[str, bool]]:
    findings = check(dict(model=dict(type="Parent", **arguments)), SCHEMA)
    return [(finding.message, finding.is_certain) for finding in findings]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("name", ["Late", "Decorated", "spelt", "mapped", "Plain", "resize", "Fraction", "Odd"])
def test_type_that_the_code_around_it_may_know(name: str) -> None:
    """It registers, defines, compares with or imports the name, or has it in a registry of its own."""
    assert messages(inner=dict(type=name)) == []


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Foo", "no registry knows 'Foo'"),
        ("Documented", "no registry knows 'Documented'"),
        ("Commented", "no registry knows 'Commented'"),
        ("PARENT", "no registry knows 'PARENT'; did you mean 'Parent'?"),
        ("importlib.metadata.Foo", "no registry knows 'importlib.metadata.Foo'"),
        ("eng.Parnet", "no registry knows 'eng.Parnet'; did you mean 'Parent'?"),
        ("resise", "no registry knows 'resise'; did you mean 'Resize'?"),
    ],
)
def test_type_that_no_code_can_know(name: str, message: str) -> None:
    assert messages(inner=dict(type=name)) == [(message, False)]


@pytest.mark.usefixtures("library")
def test_type_where_the_argument_names_the_registry() -> None:
    """A function of the same name is no transform, nor a reason for silence."""
    [(message, is_certain)] = messages(pipeline=[dict(type="Resize"), dict(type="resize")])
    assert message.startswith("'resize' is not in the eng::transform registry")
    assert "did you mean 'Resize'?" in message
    assert not is_certain
    [(message, _)] = messages(pipeline=[dict(type="GaussNoise")])
    assert "did you mean" not in message
    for known in ("Fraction", "spelt", "Spelt", "fractions.nothing"):
        assert messages(pipeline=[dict(type=known)]) == []


LAZY = """
def __getattr__(name):
    if name.startswith("__") or name == "Barr":
        raise AttributeError(name)
    raise RuntimeError(f"{name} needs a backend that is not installed")

def __dir__():
    return ["Bar"]
"""
IMPORTS_LAZY = """
import lazydep
from eng.registry import MODELS

@MODELS.register_module()
class Parent:
    def __init__(self, inner=None, pipeline=None): ...
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lazydep.Bar", []),
        ("lazydep.Bar.part", []),
        ("Bar", []),
        ("lazydep.Barr", [("no registry knows 'lazydep.Barr'", False)]),
    ],
)
def test_name_that_a_lazy_module_knows_and_cannot_load(package, name: str, expected: list[tuple[str, bool]]) -> None:
    """As ``transformers`` does for the classes of a backend that is not installed; the parent's file imports it."""
    package("lazydep", __init__=LAZY)
    library = f"library_of_types_{next(NUMBERS)}"
    package(library, parts=IMPORTS_LAZY)
    importlib.import_module(f"{library}.parts")
    assert messages(inner=dict(type=name)) == expected
    if name == "Bar":
        assert messages(pipeline=[dict(type=name)]) == []


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("name", "count"), [("Late", 0), ("Decorated", 0), ("Documented", 1), ("Resize", 1), ("resize", 1), ("Foo", 1)]
)
def test_type_that_eng_looks_up_itself(name: str, count: int) -> None:
    findings = check(dict(type=name), MODELS)
    assert [finding.path for finding in findings] == ["model.type"] * count
