from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from check_parts import Thing

from eng.registry import DuplicateNameError, Registry, build_from_cfg


@pytest.fixture
def things() -> Registry:
    return Registry("thing", scope="base")


def test_decorator_registers_under_the_class_name(things: Registry) -> None:
    returned = things.register_module()(Thing)
    assert returned is Thing
    assert things.get("Thing") is Thing
    assert "Thing" in things
    assert len(things) == 1
    assert things.module_dict == {"Thing": Thing}


def test_one_class_under_several_names(things: Registry) -> None:
    things.register_module(name=["A", "B"], module=Thing)
    assert things.get("A") is things.get("B") is Thing
    assert things.get("Thing") is None


def test_call_registers_a_function_at_once(things: Registry) -> None:
    assert things.register_module(name="length", module=len) is len
    assert things.get("length") is len


def test_name_twice_is_an_error_that_names_both(things: Registry) -> None:
    things.register_module(module=Thing)
    with pytest.raises(
        DuplicateNameError, match=r"'Thing' is registered already in registry 'thing' of scope 'base'.*force=True"
    ):
        things.register_module(module=Thing)
    with pytest.raises(KeyError):
        things.register_module(name="Thing", module=len)


def test_the_same_class_twice_is_an_error_in_a_script_too(things: Registry) -> None:
    """As in MMEngine; a cell of a notebook that is run again defines the class again."""
    script: dict[str, Any] = {"__name__": "__main__"}
    exec("class Net: ...", script)
    things.register_module(module=script["Net"])
    with pytest.raises(KeyError, match=r"'Net' is registered already.*force=True"):
        things.register_module(module=script["Net"])
    things.register_module(module=script["Net"], force=True)


@pytest.mark.parametrize("kind", [KeyError, RuntimeError])
def test_an_empty_name_is_an_error(things: Registry, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="is not empty"):
        things.get("")
    with pytest.raises(kind, match="is not empty"):
        things.build(dict(type=""))
    for name in ("base.", "no_such_library.", "math.", "..."):
        with pytest.raises(kind, match=re.escape(f"is not empty after {name!r}")):
            things.get(name)


def test_force_replaces(things: Registry) -> None:
    things.register_module(module=Thing)
    things.register_module(name="Thing", module=len, force=True)
    assert things.get("Thing") is len


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(module=3), "only what can be called is registered"),
        (dict(name=3), "a name in registry 'thing' is a string or several strings"),
        (dict(name=[3]), "string or several strings"),
        (dict(name=Thing), "with parentheses"),
        (dict(force=1), "force must be True or False"),
    ],
    ids=["not-callable", "number-as-name", "number-in-names", "decorator-without-parentheses", "force-no-bool"],
)
def test_bad_registration_is_a_type_error(things: Registry, arguments: dict, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        things.register_module(**arguments)


def test_get_of_a_non_string_is_a_type_error(things: Registry) -> None:
    with pytest.raises(TypeError, match="a name in registry 'thing' of scope 'base' is a string, not 3"):
        things.get(3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(parent=1), TypeError, "parent of registry 'x' must be a Registry"),
        (dict(scope=1), TypeError, "a scope should be a string, not 1"),
        (dict(scope="a.b"), ValueError, "one word without dots"),
        (dict(scope=""), ValueError, "one word without dots"),
    ],
    ids=["parent", "scope-type", "scope-dot", "scope-empty"],
)
def test_bad_registry(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Registry("x", **arguments)


def test_scope_is_the_package_that_creates_the_registry(package) -> None:
    package("somewhere", registry="from eng.registry import Registry\nR = Registry('x')\nS = Registry.infer_scope()")
    import somewhere.registry as module

    assert module.R.scope == module.S == "somewhere"


def test_lookup_goes_local_then_to_the_parents(tree: dict[str, Registry]) -> None:
    tree["base"].register_module(name="Both", module=int)
    tree["base"].register_module(name="Base", module=float)
    tree["alpha"].register_module(name="Both", module=str)
    grandchild = Registry("model", parent=tree["alpha"], scope="gamma")
    assert tree["alpha"].get("Both") is str
    assert tree["alpha"].get("Base") is float
    assert grandchild.get("Both") is str
    assert grandchild.get("base.Both") is int
    assert tree["base"].get("gamma.Both") is str  # gamma inherits what its parents know
    assert grandchild.root is tree["base"]


def test_lookup_in_a_sibling_by_scope(tree: dict[str, Registry]) -> None:
    tree["alpha"].register_module(name="X", module=int)
    assert tree["beta"].get("X") is None
    assert tree["beta"].get("alpha.X") is int
    assert tree["alpha"].get("alpha.X") is int
    assert tree["beta"].get("nowhere.X") is None


def test_a_second_child_of_one_scope_is_an_error(tree: dict[str, Registry]) -> None:
    with pytest.raises(ValueError, match="has a child of scope 'alpha' already"):
        Registry("model", parent=tree["base"], scope="alpha")
    assert set(tree["base"].children) == {"alpha", "beta"}
    assert tree["base"].scopes() == ["base", "alpha", "beta"]


def test_synonym_stands_for_the_scope(tree: dict[str, Registry]) -> None:
    tree["base"].register_module(name="X", module=int)
    tree["base"].add_synonym("old")
    assert tree["alpha"].get("old.X") is int
    assert tree["base"].get("old.X") is int
    with tree["alpha"].switch_scope_and_registry("old") as registry:
        assert registry is tree["base"]


def test_unknown_scope_is_warned_about_once_and_serves_itself(tree: dict[str, Registry], caplog) -> None:
    tree["alpha"].register_module(name="X", module=int)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with tree["alpha"].switch_scope_and_registry("gama") as registry:
                assert registry is tree["alpha"]
    assert [r.message for r in caplog.records if "no scope 'gama'" in r.message] == [caplog.records[0].message]
    assert "base, alpha, beta" in caplog.text


def test_scope_in_a_config_holds_for_everything_below(tree: dict[str, Registry]) -> None:
    root = tree["base"]

    class Outer:
        def __init__(self, inner: dict) -> None:
            self.inner = root.build(inner)

    root.register_module(name="Part", module=Thing)
    tree["alpha"].register_module(name="Part", module=complex)
    tree["alpha"].register_module(name="Outer", module=Outer)
    assert root.build(dict(type="Outer", _scope_="alpha", inner=dict(type="Part"))).inner == 0j
    assert isinstance(root.build(dict(type="Part")), Thing)


def test_build_func_is_inherited_from_the_parent() -> None:
    def special(cfg, registry, extra=0):
        return (registry.get(cfg["type"]), extra)

    parent = Registry("x", scope="base", build_func=special)
    child = Registry("x", parent=parent, scope="child")
    parent.register_module(name="A", module=Thing)
    assert child.build(dict(type="A"), extra=3) == (Thing, 3)
    assert Registry("y", scope="base").build_func is build_from_cfg


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("fractions.Fractoin", r"the module 'fractions' has no 'Fractoin'; did you mean 'Fraction'\?"),
        ("xml.don.minidom", r"the module 'xml' has no 'don'"),
        ("no_such_library.Thing", "there is no scope 'no_such_library'"),
    ],
    ids=["name", "module", "library"],
)
def test_dotted_path_that_leads_nowhere_names_the_part(things: Registry, path: str, words: str) -> None:
    with pytest.raises(KeyError, match=words):
        things.build(dict(type=path))


def test_module_lookup_does_not_change_the_given_locations() -> None:
    given = ["a.b"]
    registry = Registry("x", scope="base", locations=given)
    given.append("c")
    assert registry.locations == ("a.b",)


def test_split_scope_key() -> None:
    assert Registry.split_scope_key("a.b.c") == ("a", "b.c")
    assert Registry.split_scope_key("a") == (None, "a")


class TestFallback:
    """Names that give way to whoever registers them."""

    def test_a_later_registration_takes_the_name(self, caplog) -> None:
        tools = Registry("tool", scope="fallback_a")
        tools.register_fallback("Saw", complex)
        assert tools.get("Saw") is complex

        class Saw: ...

        with caplog.at_level("INFO", "eng.registry"):
            tools.register_module(module=Saw)
        assert tools.get("Saw") is Saw
        assert "takes the name 'Saw'" in caplog.text
        with pytest.raises(KeyError, match="registered already"):
            tools.register_module(name="Saw", module=complex)

    def test_an_earlier_registration_keeps_the_name(self, caplog) -> None:
        tools = Registry("tool", scope="fallback_b")

        @tools.register_module()
        class Saw: ...

        with caplog.at_level("INFO", "eng.registry"):
            tools.register_fallback("Saw", complex)
            tools.register_fallback("Saw", Saw)
        assert tools.get("Saw") is Saw
        assert caplog.text.count("keeps the name 'Saw'") == 1


def test_a_name_may_hold_several_scopes(tree: dict[str, Registry]) -> None:
    little = Registry("model", parent=tree["alpha"], scope="little")
    little.register_module(name="Mark", module=dict)
    assert tree["base"].get("alpha.little.Mark") is dict
    assert tree["beta"].get("alpha.little.Mark") is dict
    assert tree["base"].get("alpha.little.Mork") is None


def test_a_cell_that_is_run_again_replaces_its_class() -> None:
    registry = Registry("model", scope="base")

    def cell(module: str) -> type:
        return type("Net", (), {"__module__": module})

    registry.register_module(module=cell("__main__"))
    again = cell("__main__")
    registry.register_module(module=again)
    assert registry.get("Net") is again
    with pytest.raises(KeyError, match="'Net' is registered already"):
        registry.register_module(module=cell("library"))


def test_isolated_undoes_what_a_block_registers() -> None:
    root = Registry("model", scope="base", locations=["colorsys"])
    child = Registry("model", parent=root, scope="alpha")
    root.register_module(name="Kept", module=dict)
    names = root.module_dict
    with root.isolated() as same:
        assert same is root
        root.register_module(name="Gone", module=list)
        child.register_module(name="Gone", module=list)
        Registry("model", parent=root, scope="beta")
    assert root.module_dict is names
    assert (list(root.module_dict), list(child.module_dict), list(root.children)) == (["Kept"], [], ["alpha"])
    with root.isolated(empty=True):
        assert (root.get("Kept"), root.children, root.locations) == (None, {}, ())
    assert (root.get("Kept"), root.locations) == (dict, ("colorsys",))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: Registry("a", parent=3, scope="b"), TypeError, "the parent of registry 'a' must be a Registry"),
        (lambda: Registry("a", scope=3), TypeError, "a scope should be a string, not 3"),
        (lambda: Registry("a", scope="b.c"), ValueError, "one word without dots"),
    ],
)
def test_what_mmengine_asserts_is_an_assertion_error_too(call, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        call()
    assert isinstance(caught.value, AssertionError)
