from __future__ import annotations

import collections
import copy
import pickle
from collections import OrderedDict
from typing import Any

import pytest

from eng.config import Config, ConfigDict
from eng.config.lazy import LazyObject


def test_nested_mappings_have_attributes_also_in_lists_and_tuples() -> None:
    cfg = ConfigDict(a=dict(b=[dict(c=1)], t=(dict(d=[dict(e=2)]),)), o=OrderedDict(x=dict(y=3)))
    assert (cfg.a.b[0].c, cfg.a.t[0].d[0].e, cfg.o.x.y) == (1, 2, 3)


def test_a_subclass_of_dict_stays_what_it_is() -> None:
    counter = collections.Counter("aab")
    assert ConfigDict(c=counter).c is counter


@pytest.mark.parametrize("source", [{"a": 1}, [("a", 1)], ConfigDict(a=1)], ids=["dict", "pairs", "config"])
def test_made_from(source: Any) -> None:
    assert ConfigDict(source, b=2) == {"a": 1, "b": 2}


def test_a_key_named_self_is_a_key() -> None:
    assert ConfigDict(self=1)["self"] == 1


class TestMissing:
    def test_attribute_names_near_keys(self) -> None:
        with pytest.raises(AttributeError, match="no attribute 'depht'; did you mean 'depth'"):
            _ = ConfigDict(depth=1).depht

    def test_item_names_near_keys(self) -> None:
        with pytest.raises(KeyError, match="no key 'depht' in this config; did you mean 'depth'"):
            ConfigDict(depth=1)["depht"]

    @pytest.mark.parametrize("deed", [lambda c: delattr(c, "b"), lambda c: c.__delitem__("b")], ids=["attr", "item"])
    def test_deleting_says_which(self, deed: Any) -> None:
        with pytest.raises((AttributeError, KeyError), match="'b'"):
            deed(ConfigDict(a=1))

    def test_defaults(self) -> None:
        cfg = ConfigDict(a=1)
        assert (cfg.get("x"), cfg.get("x", 3), cfg.pop("x"), cfg.pop("x", 4), cfg.pop("a")) == (None, 3, None, 4, 1)
        assert not hasattr(cfg, "a")

    def test_errors_survive_pickling(self) -> None:
        with pytest.raises(KeyError) as caught:
            ConfigDict(depth=1)["depht"]
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

    def test_nothing_is_made_by_reading(self) -> None:
        cfg = ConfigDict()
        with pytest.raises(AttributeError, match="'x'"):
            cfg.x.y = 1
        assert cfg == {}


def test_a_method_name_cannot_be_set_as_an_attribute() -> None:
    cfg = ConfigDict()
    with pytest.raises(AttributeError, match=r"read-only.*cfg\['items'\]"):
        cfg.items = 3
    cfg["items"] = 3
    assert cfg["items"] == 3


def test_setting_converts() -> None:
    cfg = ConfigDict()
    cfg.a = dict(x=1)
    cfg["b"] = [dict(y=2)]
    cfg.setdefault("c", dict(z=3))
    assert (cfg.a.x, cfg.b[0].y, cfg.c.z) == (1, 2, 3)


@pytest.mark.parametrize("into", ["init", "nested", "set", "update", "merge", "put", "copy", "Config", "from_dict"])
def test_no_list_is_shared_with_where_it_came_from(into: str) -> None:
    source = dict(a=[1, 2], n=dict(b=[1], c=([1], [dict(x=[1])])))
    cfg: Any = ConfigDict()
    if into in ("init", "nested", "copy"):
        cfg = ConfigDict(source) if into != "nested" else ConfigDict(top=source).top
    elif into == "set":
        cfg.a, cfg["n"] = source["a"], source["n"]
    elif into in ("update", "merge"):
        getattr(cfg, into)(source)
    elif into == "put":
        cfg.setdefault("a", source["a"])
        cfg.setdefault("n", source["n"])
    else:
        cfg = Config(source) if into == "Config" else Config()
        if into == "from_dict":
            cfg.merge_from_dict(source)
    if into == "copy":
        first, cfg = cfg, cfg.copy()
        first.a.append(9)
    cfg.a.append(3)
    cfg.n.b.append(3)
    cfg.n.c[0].append(3)
    cfg.n.c[1][0].x.append(3)
    assert source == dict(a=[1, 2], n=dict(b=[1], c=([1], [dict(x=[1])])))
    assert cfg.a == [1, 2, 3]


def test_update_goes_into_mappings() -> None:
    cfg = ConfigDict(a=dict(b=1, c=2))
    cfg.update(dict(a=dict(b=3)), d=4)
    assert cfg == dict(a=dict(b=3, c=2), d=4)
    with pytest.raises(TypeError, match="at most 1"):
        cfg.update({}, {})


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (dict(a=dict(b=3)), dict(a=dict(b=3, c=2), l=[1, 2])),
        (dict(a=dict(_delete_=True, q=1)), dict(a=dict(q=1), l=[1, 2])),
        (dict(l=[3], n=dict(_delete_=True, z=1)), dict(a=dict(b=1, c=2), l=[3], n=dict(z=1))),
        (dict(a=5), dict(a=5, l=[1, 2])),
    ],
    ids=["into", "delete", "replace-list", "scalar"],
)
def test_merge_is_inheritance(other: dict[str, Any], expected: dict[str, Any]) -> None:
    cfg = ConfigDict(a=dict(b=1, c=2), l=[1, 2])
    cfg.merge(other)
    assert cfg == expected


def test_merge_takes_a_mapping() -> None:
    with pytest.raises(TypeError, match="mapping, got int"):
        ConfigDict().merge(3)  # type: ignore[arg-type]


def test_operators_give_config_dicts() -> None:
    assert type(ConfigDict(a=1) | {"b": dict(c=1)}) is ConfigDict
    assert type({"b": 1} | ConfigDict(a=1)) is ConfigDict
    cfg = ConfigDict(a=dict(x=1))
    cfg |= dict(a=dict(y=2))
    assert cfg == dict(a=dict(x=1, y=2))


def test_copies() -> None:
    cfg = ConfigDict(a=dict(b=[1]))
    assert copy.copy(cfg).a is cfg.a
    assert cfg.copy() == cfg
    deep = copy.deepcopy(cfg)
    deep.a.b.append(2)
    assert cfg.a.b == [1]
    assert cfg.deepcopy() == cfg


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol: int) -> None:
    again = pickle.loads(pickle.dumps(ConfigDict(a=dict(b=[dict(c=1)])), protocol))
    assert type(again.a.b[0]) is ConfigDict
    assert again == dict(a=dict(b=[dict(c=1)]))


def test_to_dict_is_plain_all_the_way() -> None:
    plain = ConfigDict(a=[dict(b=(dict(c=1),))]).to_dict()
    assert type(plain) is type(plain["a"][0]) is type(plain["a"][0]["b"][0]) is dict


class TestLazy:
    cfg = ConfigDict(type=LazyObject("collections", "OrderedDict"), n=1)

    def test_reading_imports(self) -> None:
        readings = [
            self.cfg.type,
            self.cfg["type"],
            self.cfg.get("type"),
            self.cfg.values()[0],
            dict(self.cfg.items())["type"],
        ]
        assert readings == [OrderedDict] * 5

    def test_unpacking_imports(self) -> None:
        assert dict(**self.cfg) == dict(self.cfg) == {"type": OrderedDict, "n": 1}
        assert self.cfg.copy().pop("type") is OrderedDict
        assert ConfigDict(type=LazyObject("os")).popitem()[1].__name__ == "os"

    def test_dicts_name_it(self) -> None:
        assert self.cfg.to_dict() == {"type": "collections.OrderedDict", "n": 1}
        assert self.cfg._to_lazy_dict()["type"].dotted == "collections.OrderedDict"
        assert self.cfg.build_lazy(LazyObject("os", "sep")) == "/"

    def test_a_pickle_keeps_it_lazy(self) -> None:
        again = pickle.loads(pickle.dumps(ConfigDict(type=LazyObject("no_such_module", "X"))))
        assert again.to_dict() == {"type": "no_such_module.X"}
        with pytest.raises(ImportError, match="no_such_module"):
            _ = again.type
