"""Helpers of the tests in several files beside this one."""

from __future__ import annotations

from typing import Any


class Thing:
    def __init__(self, a: int = 0) -> None:
        self.a = a


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
