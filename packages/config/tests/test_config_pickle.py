"""A config out of a pickle or a deep copy is the same: values, lazy imports, text, and where its values come from."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from config_parts import Write

from eng.config import Config

HEAD = "from eng.config import read_base\nwith read_base():\n"
FILES: dict[str, dict[str, str]] = {
    "removed": dict(b_py="m = dict(a=1, n=dict(x=1, y=[dict(z=1)]))\n", a_py="_base_ = 'b.py'\nm = dict(n=dict(_delete_=True, w=2))\n"),
    "replaced": dict(b_py="m = dict(a=dict(b=1))\nl = [dict(x=1)] * 3\n", a_py="_base_ = 'b.py'\nm = dict(a=3)\nl = [1]\n"),
    "edited": dict(b_py="m = dict(a=dict(b=[1]))\n", a_py="_base_ = 'b.py'\n_base_.m.a.b.append(2)\nx = {{_base_.m}}\n"),
    "tools": dict(a_py="import os\nfrom functools import partial\ndef f(): pass\nclass C: pass\ng = open(os.devnull)\nx = os.sep\n"),
    "function": dict(b_py="def f(n):\n    return [n]\ny = f(1)\n", a_py=HEAD + "    from .b import f, y\nx = f(2)\n"),
    "lazy": dict(b_py="from no_lib import K\nimport no_lib.nn as nn\nd = dict(t=K, u=(nn.X, [K]))\n", a_py=HEAD + "    from .b import *\nd.u2 = K\nk = nn.Y\nd.n = dict(_delete_=True)\n"),
    "standard": dict(a_py="from collections import OrderedDict\nfrom no_lib import K\nx = OrderedDict(a=K)\nf = OrderedDict\ns = {1, 2}\n"),
    "environment": dict(a_py="x = '{{$ENG_TEST_NONE:a}}'\ny = {{'$ENG_TEST_NONE:[1, 2]'}}\n"),
    "json": dict(b_json='{"a": {"b": 1}}', a_json='{"_base_": "b.json", "a": {"_delete_": true}}'),
}  # fmt: skip
ROUNDS: dict[str, Callable[[Any], Any]] = {
    **{
        f"pickle {n}": lambda cfg, n=n: pickle.loads(pickle.dumps(cfg, n))
        for n in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },  # type: ignore[misc]  # n is bound
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "twice": lambda cfg: pickle.loads(pickle.dumps(copy.deepcopy(pickle.loads(pickle.dumps(cfg))))),
}


def paths(node: Any, path: tuple[Any, ...] = ()) -> list[str]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    below = [text for key, item in items for text in paths(item, (*path, key))]
    return [".".join(map(str, path)), *below] if path else below


@pytest.mark.parametrize("way", ROUNDS)
@pytest.mark.parametrize("name", FILES)
def test_a_copy_is_the_same(name: str, way: str, write: Write) -> None:
    path = write(**FILES[name])
    cfg = Config.fromfile(path.name)
    cfg.merge_from_dict({"added.here": 1})
    again = ROUNDS[way](cfg)
    assert again.to_dict() == cfg.to_dict()
    assert again._to_lazy_dict(keep_imported=True) == cfg._to_lazy_dict(keep_imported=True)
    assert (again.text, again.filename, again.env_variables) == (cfg.text, cfg.filename, cfg.env_variables)
    for key in paths(cfg.to_dict()):
        assert [step.where for step in again.explain(key)] == [step.where for step in cfg.explain(key)], key


@pytest.mark.parametrize("way", [way for way in ROUNDS if way != "copy"])
def test_a_copy_is_its_own(way: str, write: Write) -> None:
    cfg = Config.fromfile(write(a_py="a = dict(b=[1, dict(c=2)])\n").name)
    again = ROUNDS[way](cfg)
    again.a.b[1].c = 3
    again.a.b.append(4)
    assert cfg.to_dict() == dict(a=dict(b=[1, dict(c=2)]))
