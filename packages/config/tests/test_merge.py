from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eng.config import Config, ConfigDict
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


def test_neither_side_is_changed() -> None:
    child, base = dict(a=dict(b=2, c=dict(_delete_=True, x=1))), dict(a=dict(b=1, c=dict(y=1)))
    kept = copy.deepcopy((child, base))
    assert merge(child, base) == dict(a=dict(b=2, c=dict(x=1)))
    assert (child, base) == kept


def test_merge_a_into_b_of_the_reference() -> None:
    assert Config._merge_a_into_b(dict(a=dict(x=1)), dict(a=dict(y=2))).a.x == 1
    items = [dict(a=1), dict(b=2)]
    assert Config._merge_a_into_b({"0": dict(a=2)}, items, allow_list_keys=True) == [dict(a=2), dict(b=2)]
    assert Config._merge_a_into_b({"0": dict(c=3)}, items, True)[0].c == 3
    assert items == [dict(a=1), dict(b=2)]
    with pytest.raises(KeyError, match="no item 2 in a list of 2"):
        Config._merge_a_into_b({"2": dict(a=2)}, items, allow_list_keys=True)
    with pytest.raises(TypeError, match="a dict cannot be merged onto a list"):
        Config._merge_a_into_b({"0": dict(a=2)}, items)


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


@pytest.mark.parametrize("mark", [False, 0, None, "", []])
def test_a_delete_that_is_off_merges_and_does_not_stay(mark: Any, write: Callable[..., Path]) -> None:
    text = f"_base_ = 'b.py'\na = dict(_delete_={mark!r}, y=2, n=dict(_delete_={mark!r}, z=3))\nq = dict(_delete_={mark!r}, r=1)\n"
    path = write(b_py="a = dict(x=1, n=dict(w=0))\n", a_py=text)
    expected = dict(a=dict(x=1, y=2, n=dict(w=0, z=3)), q=dict(r=1))
    assert Config.fromfile(path).to_dict() == expected
    cfg = Config(dict(a=dict(x=1, n=dict(w=0))))
    cfg.merge_from_dict({"a._delete_": mark, "a.y": 2, "a.n": dict(_delete_=mark, z=3), "q": dict(_delete_=mark, r=1)})
    assert cfg.to_dict() == expected
    node = ConfigDict(a=dict(x=1, n=dict(w=0)))
    node.merge(dict(_delete_=mark, a=dict(_delete_=mark, y=2, n=dict(_delete_=mark, z=3)), q=dict(_delete_=mark, r=1)))
    assert node == expected


def test_a_delete_at_the_top_replaces_all() -> None:
    node = ConfigDict(a=1, b=dict(c=2))
    node.merge(dict(_delete_=True, b=dict(d=3)))
    assert node == dict(b=dict(d=3))
    inner = ConfigDict(data=dict(x=1, y=dict(z=2)))
    inner.data.merge(dict(_delete_=True, y=dict(w=1)))
    assert inner == dict(data=dict(y=dict(w=1)))


@pytest.mark.parametrize("key", ["custom_hooks.0.type", "model.heads.1.loss.type"])
def test_an_item_of_a_list_that_is_missing_is_refused(key: str) -> None:
    cfg = Config(dict(model=dict(type="M")))
    name = key[: key.index(".", 9) if key.startswith("model") else key.index(".")]
    with pytest.raises(KeyError, match=rf"{key}: this config has no list '{name}' .*such as {name}=\[dict\(type=…\)\]"):
        cfg.merge_from_dict({key: "EMAHook"})
    assert cfg == Config(dict(model=dict(type="M")))


def test_indices_into_lists_that_are_there_work() -> None:
    cfg = Config(dict(a=[dict(b=[1, 2])]))
    cfg.merge_from_dict({"a.0.b.1": 5, "a.0.c.d": 6})
    assert cfg.to_dict() == dict(a=[dict(b=[1, 5], c=dict(d=6))])
