"""Nodes and whole configs, against registries and a schema of these tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eng.registry import HOOKS, MODELS, Finding, Node, Plain, Registry, Schema, check

SCHEMA = Schema(
    keys=frozenset({"model", "hooks", "env"}),
    sections={"model": Node(MODELS), "hooks": Plain(others=Node(HOOKS)), "env": Plain("env", frozenset({"seed"}))},
)


class Net:
    def __init__(self, width: int, **kwargs: Any) -> None:
        raise AssertionError("built")


class Exact:
    def __init__(self, depth: int, inner: Any = None) -> None:
        raise AssertionError("built")


def decorated(function: Any) -> Any:
    import functools

    @functools.wraps(function)
    def wrapper(self: Any, **kwargs: Any) -> None:
        kwargs.pop("old_name", None)

    return wrapper


class Renames:
    @decorated
    def __init__(self, new_name: int = 1) -> None: ...


class Swallows(Exact):
    def __init__(self, width: int = 1, **kwargs: Any) -> None:
        super().__init__(depth=width)


class LeavesOut(Swallows):
    def __init__(self, **kwargs: Any) -> None:
        super(Swallows, self).__init__(**kwargs)


class Other:
    def __init__(self, anything: int) -> None: ...


class Chooses:
    def __new__(cls, **kwargs: Any) -> Any:
        return Other(**kwargs)

    def __init__(self, depth: int) -> None: ...


@pytest.fixture(autouse=True)
def parts() -> None:
    for part in (Net, Exact, Renames, Swallows, LeavesOut, Chooses):
        part.__module__ = "library_of_tests"  # this file, with its slips, is no source of the library
        MODELS.register_module(module=part)


@pytest.mark.parametrize(
    "node",
    [
        dict(type="Renames", old_name=1),
        dict(type="Swallows", anything_at_all=1),
        dict(type="LeavesOut", depth=1),
        dict(type="Chooses", anything=1),
        dict(type="Net", width=1, popped_somewhere=2),
    ],
    ids=lambda node: node["type"],
)
def test_what_a_class_may_take_is_no_finding(node: dict[str, Any]) -> None:
    assert check(node, MODELS) == []


def test_parts_below_other_code_are_its_own_business() -> None:
    node = dict(type="Exact", depth=1, inner=[dict(kind="smooth", beta=1), dict(type="Exact"), dict(type=3)])
    assert check(node, MODELS) == []


def test_annotations_of_other_people_are_no_evidence() -> None:
    assert check(dict(type="Exact", depth="twelve"), MODELS) == []


def test_slip_below_other_code_is_a_hint() -> None:
    node = dict(type="Exact", depth=1, inner=dict(type="Exact", dpeth=1))
    [finding] = check(node, MODELS)
    assert (finding.path, finding.is_certain) == ("model.inner.dpeth", False)
    assert finding.message == "Exact takes no argument 'dpeth'; did you mean 'depth'?"


def test_whole_config_by_a_schema() -> None:
    cfg = dict(model=dict(type="Exact", depth=1), hooks=dict(a=dict(type="Nope")), env=dict(sed=1), modle=1, mine=2)
    assert [(each.path, each.is_certain) for each in check(cfg, SCHEMA)] == [
        ("hooks.a.type", True),
        ("env.sed", False),
        ("modle", False),
    ]


def test_finding_is_a_value() -> None:
    assert Finding("unknown-key", "a.b", "words") == Finding("unknown-key", "a.b", "words")
    assert str(Finding("unknown-key", "a.b", "words")) == "a.b: words"


def test_one_node_of_one_registry() -> None:
    assert [each.path for each in check(dict(type="Exact", dept=1), MODELS)] == ["model.dept", "model"]
    assert [each.path for each in check([dict(type="Exact"), dict(type="Exat")], MODELS)] == [
        "model[0]",
        "model[1].type",
    ]
    assert check(dict(type="Exact"), Node(MODELS, supplied=frozenset({"depth"}))) == []


def test_a_class_as_type_is_checked_like_a_name() -> None:
    class Net:
        def __init__(self, a: int) -> None:
            raise AssertionError("built")

    assert [each.message for each in check(dict(type=Net, b=1), MODELS)] == [
        "Net takes no argument 'b'",
        "Net needs the argument 'a' (int)",
    ]


def test_name_defined_in_a_file_that_nobody_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "nets.py").write_text("class MyNet(Base):\n    pass\n")
    [finding] = check(dict(type="MyNet"), MODELS)
    assert "nets.py defines it; import it first: custom_imports = dict(imports=['parts.nets'])" in finding.message


def test_name_in_the_package_of_its_scope_is_found_without_importing_it(package) -> None:
    package("mmz", nets="raise OSError('imported')\nclass ZNet:\n    pass\n")
    Registry("model", parent=MODELS, scope="mmz")
    [finding] = check(dict(type="mmz.ZNet"), MODELS)
    assert "imports=['mmz.nets']" in finding.message


def test_error_while_importing_a_location_goes_through(package) -> None:
    package("broken_parts", parts="1 / 0")
    Registry("model", parent=MODELS, scope="mmb", locations=["broken_parts.parts"])
    with pytest.raises(ZeroDivisionError):
        check(dict(type="mmb.X"), MODELS)
