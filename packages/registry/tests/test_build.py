from __future__ import annotations

import pickle
import sys
from types import ModuleType
from typing import Any

import pytest

from eng.registry import (
    MODELS,
    PARAM_SCHEDULERS,
    RUNNERS,
    ManagerMixin,
    Registry,
    UnknownTypeError,
    build_chain,
    build_from_cfg,
    build_model_from_cfg,
)


def test_build_leaves_the_config_as_it_was(nets: Registry) -> None:
    cfg = dict(type="ResNet", depth=18, _scope_="base")
    assert nets.build(cfg).depth == 18
    assert cfg == dict(type="ResNet", depth=18, _scope_="base")


def test_default_args_fill_in_and_do_not_override(nets: Registry) -> None:
    assert nets.build(dict(type="ResNet"), default_args=dict(depth=50)).depth == 50
    assert nets.build(dict(type="ResNet", depth=18), default_args=dict(depth=50)).depth == 18
    assert nets.build(dict(depth=18), default_args=dict(type="ResNet")).depth == 18


def test_class_or_function_given_directly(nets: Registry) -> None:
    assert build_from_cfg(dict(type=complex, real=1), nets) == 1
    assert build_from_cfg(dict(type=lambda a: a + 1, a=1), nets) == 2


@pytest.mark.parametrize(
    ("cfg", "error", "message"),
    [
        (3, TypeError, r"cfg must be a mapping such as dict\(type='Name', ...\), not int: 3"),
        (None, TypeError, "not NoneType"),
        (dict(depth=1), KeyError, r'must contain the key "type"; it has \[.depth.\]'),
        (dict(type=3), TypeError, "type must be a name, a class or a function, not 3"),
        (dict(type="ResNet", width=3), TypeError, "unexpected keyword argument 'width'"),
        (dict(type="ResNet", depth=3), ValueError, "no depth 3"),
        (
            dict(type="Resnet", depth=3),
            KeyError,
            r"'Resnet' is not in the \w+::model registry.*scopes searched: base.*mean 'ResNet'",
        ),
        (dict(type="mmx.ResNet"), KeyError, "no scope 'mmx'"),
    ],
    ids=["number", "none", "no-type", "type-number", "argument", "inside", "misspelt", "scope"],
)
def test_failed_build_keeps_the_type_of_its_cause(
    nets: Registry, cfg: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        nets.build(cfg)
    assert [node.path for node in build_chain(caught.value)] == ["model"]


def lines_of(error: BaseException) -> list[str]:
    """The message of an error and its notes, as a traceback shows them."""
    return "\n".join([str(error), *getattr(error, "__notes__", [])]).splitlines()


class Wide:
    def __init__(self, width: int = 1, depth: int = 2) -> None: ...


class Wider(Wide):
    def __init__(self, height: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)


@pytest.mark.parametrize(
    ("kind", "arguments", "hints"),
    [
        (Wide, dict(wdith=3), ("no argument 'wdith'; did you mean 'width'?",)),
        (
            Wide,
            dict(width=1, dept=3, x=1),
            ("no argument 'dept'; did you mean 'depth'?", "no argument 'x'; there are depth, width"),
        ),
        (Wider, dict(wdith=3), ("no argument 'wdith'; did you mean 'width'?",)),
    ],
    ids=["slip", "several", "of-a-base"],
)
def test_a_misspelt_argument_gets_near_names(kind: Any, arguments: Any, hints: Any) -> None:
    registry = Registry("room", scope="base")
    registry.register_module(name="Room", module=kind)
    cfg = dict(type="Room", **arguments)
    with pytest.raises(TypeError) as caught:
        registry.build(cfg)
    assert lines_of(caught.value)[2:] == [f"  {hint}" for hint in hints]
    assert lines_of(pickle.loads(pickle.dumps(caught.value))) == lines_of(caught.value)


def test_a_type_error_from_inside_gets_no_hint(nets: Registry) -> None:
    nets.register_module(name="Sum", module=lambda parts: sum(parts))
    with pytest.raises(TypeError) as caught:
        nets.build(dict(type="Sum", parts=[1, "a"]))
    assert len(lines_of(caught.value)) == 2


def test_default_args_that_are_no_mapping(nets: Registry) -> None:
    with pytest.raises(TypeError, match="default_args must be a mapping"):
        nets.build(dict(type="ResNet"), default_args=3)


def test_attributes_of_the_cause_stay() -> None:
    registry = Registry("file", scope="base")
    registry.register_module(name="open", module=open)
    with pytest.raises(FileNotFoundError) as caught:
        registry.build(dict(type="open", file="/no/such/file"))
    assert caught.value.errno == 2
    assert caught.value.filename == "/no/such/file"


class Awkward(Exception):
    def __init__(self, one: int, *, two: int) -> None:
        super().__init__(f"{one} and {two}")
        self.two = two


def _raise(kind: str) -> None:
    raise {"awkward": Awkward(1, two=2), "key": KeyError("a sentence with spaces"), "type": TypeError("words")}[kind]


@pytest.mark.parametrize("kind", ["awkward", "key", "type"])
def test_error_is_that_of_the_constructor_and_crosses_processes(kind: str) -> None:
    registry = Registry("x", scope="base")
    registry.register_module(name="f", module=_raise)
    with pytest.raises((Awkward, KeyError, TypeError)) as caught:
        registry.build(
            dict(
                type="f",
                kind=kind,
            )
        )
    assert type(caught.value) in (Awkward, KeyError, TypeError)
    assert "while building x → f" in "".join(lines_of(caught.value))
    if kind != "awkward":  # its own __init__ cannot be pickled by anybody
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), lines_of(again)) == (type(caught.value), lines_of(caught.value))
        assert [node.path for node in build_chain(again)] == ["x"]


def test_interrupt_is_not_wrapped() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Registry("x", scope="base").build(dict(type=stop))


def test_unknown_type_carries_its_data(nets: Registry) -> None:
    with pytest.raises(UnknownTypeError) as caught:
        nets.build(dict(type="Resnet"))
    assert (caught.value.name, caught.value.searched, caught.value.near) == ("Resnet", ("base",), ("ResNet",))


def test_manager_classes_are_built_once_by_name(nets: Registry) -> None:
    @nets.register_module()
    class Board(ManagerMixin):
        def __init__(self, name: str, size: int = 1) -> None:
            super().__init__(name)
            self.size = size

    first = nets.build(dict(type="Board", name="b", size=2))
    assert nets.build(dict(type="Board", name="b")) is first is Board.get_instance("b")


def test_list_of_models_becomes_a_sequential(nets: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    room = ModuleType("eng.model")
    room.Sequential = lambda *modules: list(modules)  # stands for eng-runner's, which this package must not need
    monkeypatch.setitem(sys.modules, "eng.model", room)
    built = build_model_from_cfg([dict(type="ResNet", depth=18), dict(type="ResNet", depth=50)], nets)
    assert [each.depth for each in built] == [18, 50]


class Curve:
    def __init__(self, optimizer: str, end: int, by_epoch: bool = True) -> None:
        self.settings = (optimizer, end, by_epoch)

    @classmethod
    def build_iter_from_epoch(cls, optimizer: str, end: int, epoch_length: int, by_epoch: bool = True) -> Curve:
        return cls(optimizer, end * epoch_length, by_epoch=False)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (dict(), ("sgd", 3, True)),
        (dict(epoch_length=10), ("sgd", 3, True)),
        (dict(epoch_length=10, convert_to_iter_based=True), ("sgd", 30, False)),
    ],
    ids=["plain", "length-unused", "converted"],
)
def test_scheduler_is_converted_to_iterations(extra: dict, expected: tuple) -> None:
    PARAM_SCHEDULERS.register_module(module=Curve)
    built = PARAM_SCHEDULERS.build(dict(type="Curve", end=3, **extra), default_args=dict(optimizer="sgd"))
    assert built.settings == expected


@pytest.mark.parametrize("extra", [dict(), dict(epoch_length=3, by_epoch=False)], ids=["no-length", "by-iteration"])
def test_scheduler_that_cannot_be_converted(extra: dict) -> None:
    PARAM_SCHEDULERS.register_module(module=Curve)
    with pytest.raises(ValueError, match="convert_to_iter_based needs epoch_length"):
        PARAM_SCHEDULERS.build(dict(type="Curve", end=3, convert_to_iter_based=True, **extra))


@pytest.mark.parametrize("named", [True, False], ids=["runner_type", "default"])
def test_runner_is_built_by_from_cfg_with_the_same_config(named: bool) -> None:
    class Runner:
        @classmethod
        def from_cfg(cls, cfg: dict) -> tuple:
            return cls, cfg

    RUNNERS.register_module(name="Mine" if named else "Runner", module=Runner)
    cfg = dict(work_dir="x", **(dict(runner_type="Mine") if named else {}))
    built, given = RUNNERS.build(cfg)
    assert built is Runner
    assert given is cfg


def test_mapping_by_duck_typing_is_read_through_items(nets: Registry) -> None:
    class Face:
        def keys(self) -> list:
            return ["type", "depth"]

        def items(self) -> list:
            return [("type", "ResNet"), ("depth", 18)]

    assert nets.build(Face()).depth == 18


def test_models_has_the_build_function_of_the_reference() -> None:
    assert MODELS.build_func is build_model_from_cfg


def test_registry_that_is_none(tree) -> None:
    with pytest.raises(TypeError, match="registry should be a Registry, but got 'model'"):
        build_from_cfg(dict(type="Net"), "model")


def test_debug_lines_of_the_manual(tree, caplog) -> None:
    tree["base"].register_module(name="Pair", module=complex)
    with caplog.at_level("DEBUG", logger="eng.registry"):
        tree["base"].build(dict(type="Pair", real=1))
    assert [record.message for record in caplog.records] == [
        'Get class `complex` from "model" registry in "base"',
        "An `complex` instance is built from registry, its implementation can be found in builtins",
    ]


@pytest.mark.parametrize(("text", "number"), [("1e-3", "1.0e-3"), ("2E5", "2.0e+5"), ("-1.25e3", "-1.25e+3")])
def test_a_number_that_yaml_took_as_text_is_shown_as_yaml_wants_it(text: str, number: str) -> None:
    tools = Registry("tool", scope="example")

    @tools.register_module()
    def twice(rate: float, name: str = "") -> float:
        return rate * 2 + 1

    with pytest.raises(TypeError) as caught:
        tools.build(dict(type="twice", rate=text, name="one"))
    expected = f"rate={text!r} is text: YAML reads a number with an exponent only with point and sign, {number}"
    assert [line.strip() for line in lines_of(caught.value) if "YAML" in line] == [expected]
