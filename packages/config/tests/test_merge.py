from __future__ import annotations

import copy
from typing import Any

import pytest

from eng.config import Config
from eng.config._merge import difference, merge, nest

BASE = dict(a=dict(b=[1, 2, 3], d=dict(e=1)), l=[dict(x=1), dict(x=2)], t=(dict(x=1), 2), n=None)


def with_(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(BASE), **changes}


# input and result, observed with MMEngine 0.10.7 where it gives one
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"a.d.e": 2}, with_(a=dict(b=[1, 2, 3], d=dict(e=2)))),
        ({"a.d": 5}, with_(a=dict(b=[1, 2, 3], d=5))),
        ({"l.0.x": 9}, with_(l=[dict(x=9), dict(x=2)])),
        ({"l": {0: dict(x=4)}}, with_(l=[dict(x=4), dict(x=2)])),
        ({"a.b.0": 7}, with_(a=dict(b=[7, 2, 3], d=dict(e=1)))),
        ({"a": 3}, with_(a=3)),
        ({"a.d": dict(_delete_=True, q=1)}, with_(a=dict(b=[1, 2, 3], d=dict(q=1)))),
        ({"l.0": dict(_delete_=True, y=1)}, with_(l=[dict(y=1), dict(x=2)])),
        ({"new.e.w": 1}, with_(new=dict(e=dict(w=1)))),
        ({"t.0.x": 8}, with_(t=(dict(x=8), 2))),
        ({"a.d": {"k.with.dots": 1}}, with_(a=dict(b=[1, 2, 3], d={"e": 1, "k.with.dots": 1}))),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) and "n" not in each else "",
)
def test_merge_from_dict(options: dict[str, Any], expected: dict[str, Any]) -> None:
    cfg = Config(copy.deepcopy(BASE))
    before = copy.deepcopy(options)
    cfg.merge_from_dict(options)
    assert cfg.to_dict() == expected
    assert options == before


@pytest.mark.parametrize(
    ("options", "lists", "kind", "match"),
    [
        ({"l.5.x": 1}, True, KeyError, "no item 5 in a list of"),
        ({"l.0.x": 1}, False, TypeError, "l: a dict cannot be merged onto a list"),
        ({"a.b": dict(z=1)}, True, TypeError, "a.b: 'z' is not an index of a list; use 0 to 2"),
        ({"a.d.e.f": 1}, True, TypeError, "a.d.e: a dict cannot be merged onto a int.*_delete_=True"),
        ({"n.x": 1}, True, TypeError, "n: a dict cannot be merged onto None"),
        ({"q": 1, "q.r": 2}, True, TypeError, "'q.r' needs a dict, but another option sets it to 1"),
    ],
    ids=["index", "lists-off", "no-index", "scalar", "none", "contradiction"],
)
def test_wrong_overrides_change_nothing(
    options: dict[str, Any], lists: bool, kind: type[Exception], match: str
) -> None:
    cfg = Config(copy.deepcopy(BASE))
    with pytest.raises(kind, match=match):
        cfg.merge_from_dict({"first": 100, **options}, allow_list_keys=lists)
    assert cfg.to_dict() == BASE


def test_neither_side_is_changed() -> None:
    child, base = dict(a=dict(b=2, c=dict(_delete_=True, x=1))), dict(a=dict(b=1, c=dict(y=1)))
    kept = copy.deepcopy((child, base))
    assert merge(child, base) == dict(a=dict(b=2, c=dict(x=1)))
    assert (child, base) == kept


def test_merge_a_into_b_of_the_reference() -> None:
    assert Config._merge_a_into_b(dict(a=dict(x=1)), dict(a=dict(y=2))).a.x == 1


def test_nest_keeps_values() -> None:
    value = {"x": 1}
    assert nest({"a": value, "a.y": 2}) == {"a": {"x": 1, "y": 2}}
    assert value == {"x": 1}


def test_difference_holds_what_changed() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError("no plain answer")

        __hash__ = object.__hash__

    old = dict(a=1, b=dict(c=1, d=2), o=Odd())
    assert difference(dict(a=1, b=dict(c=1, d=3), e=4), old) == dict(b=dict(d=3), e=4)
    assert list(difference(dict(o=Odd()), old)) == ["o"]
