from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from eng.registry._signatures import NOTHING_KNOWN, parameters_of

if TYPE_CHECKING:
    from nowhere import Unknown


class Base:
    def __init__(self, width: int, depth: int = 1) -> None: ...


class HandsOn(Base):
    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Fixes(Base):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(width=3, **kwargs)


class ByPosition(Base):
    def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(3, *args, **kwargs)


class Pops(Base):
    def __init__(self, **kwargs: Any) -> None:
        self.mode = kwargs.pop("mode", None)
        if "flag" in kwargs:
            kwargs["other"] = kwargs.get("flag")
        super().__init__(**kwargs)


class Uses(Base):
    def __init__(self, **kwargs: Any) -> None:
        self.kwargs = kwargs
        super().__init__(**kwargs)


class Keeps:
    def __init__(self, a: int, **kwargs: Any) -> None:
        pass


class OnTop(Keeps, Base):
    def __init__(self, b: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class NoInit(Base):
    pass


class ByNew:
    def __new__(cls, size: int) -> ByNew:
        return super().__new__(cls)


class Nothing:
    pass


@dataclasses.dataclass
class Data:
    a: int
    b: str = ""


def function(a: int, *args: int, b: int, **kwargs: int) -> None: ...


@pytest.mark.parametrize(
    ("factory", "names", "required", "takes_any"),
    [
        (Base, {"width", "depth"}, ("width",), False),
        (HandsOn, {"name", "width", "depth"}, ("name", "width"), False),
        (Fixes, {"depth"}, (), False),
        (ByPosition, {"name", "depth"}, ("name",), False),
        (Pops, {"mode", "flag", "other", "width", "depth"}, ("width",), False),
        (Uses, set(), (), True),
        (Keeps, {"a"}, ("a",), True),
        (OnTop, {"a", "b"}, ("a",), True),
        (NoInit, {"width", "depth"}, ("width",), False),
        (ByNew, {"size"}, ("size",), False),
        (Nothing, set(), (), False),
        (Data, {"a", "b"}, ("a",), False),
        (function, {"a", "b"}, ("a", "b"), True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_parameters(factory: Any, names: set[str], required: tuple[str, ...], takes_any: bool) -> None:
    found = parameters_of(factory)
    assert (found.names, found.required, found.takes_any) == (names, required, takes_any)


@pytest.mark.parametrize("factory", [dict, type("Dynamic", (), {"__init__": dict.__init__})], ids=repr)
def test_builtins_that_do_not_tell_take_anything(factory: Any) -> None:
    assert parameters_of(factory).takes_any


def test_arguments_of_every_class_can_be_given_to_it() -> None:
    for factory in (HandsOn, Fixes, Pops, NoInit, ByNew, Data):
        found = parameters_of(factory)
        # what the analysis calls required is what the interpreter asks for
        if found.required:
            with pytest.raises(TypeError):
                factory()
        factory(**dict.fromkeys(found.required, 0))


def test_hints_follow_to_the_bases_and_implicit_none_is_allowed() -> None:
    class Half:
        def __init__(self, a: int = None, b: Unknown = 1, c: list[int] = ()) -> None: ...  # noqa: RUF013

    assert parameters_of(HandsOn).hints == {"name": str, "width": int, "depth": int}
    assert parameters_of(Half).names == {"a", "b", "c"}  # `Unknown` exists for type checkers only


def test_implicit_none() -> None:
    def function(a: int = None, b: int = 1) -> None: ...  # noqa: RUF013

    assert parameters_of(function).hints == {"a": int | None, "b": int}


def test_metaclass_that_takes_over_the_call_tells_nothing() -> None:
    class Meta(type):
        def __call__(cls, *args: Any, **kwargs: Any) -> int:
            return 1

    class Strange(metaclass=Meta):
        def __init__(self, a: int) -> None: ...

    assert parameters_of(Strange) is NOTHING_KNOWN
