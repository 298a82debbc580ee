from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from config_parts import Write

from eng.config import Config


def test_access_as_mapping_and_attributes() -> None:
    cfg = Config(dict(a=1, b=dict(c=[1, 2])))
    cfg.a = 2
    cfg["b"]["c"][1] = 3
    cfg.new = dict(x=1)
    assert (cfg["a"], cfg.b.c, cfg.new.x, len(cfg), list(cfg), "a" in cfg) == (2, [1, 3], 1, 3, ["a", "b", "new"], True)
    assert cfg.get("nothing", 5) == 5
    assert cfg.pop("a") == 2
    del cfg.new
    del cfg["b"]
    assert dict(cfg.items()) == {}


def test_missing_names_near_keys() -> None:
    cfg = Config(dict(depth=1))
    with pytest.raises(AttributeError, match="'depht'; did you mean 'depth'"):
        _ = cfg.depht
    with pytest.raises(KeyError, match="'depht'"):
        cfg["depht"]
    with pytest.raises(AttributeError, match="'depht'"):
        del cfg.depht
    with pytest.raises(KeyError, match="'depht'"):
        del cfg["depht"]


def test_repr_says_path_and_values(write: Write) -> None:
    path = write(a_py="test_int = 1")
    assert repr(Config.fromfile("a.py")) == "Config (path: a.py): {'test_int': 1}"
    assert repr(Config()) == "Config (path: None): {}"
    assert Config(dict(a=1), filename=path).text == "test_int = 1"


def test_copies() -> None:
    cfg = Config(dict(a=dict(b=1)))
    assert copy.copy(cfg).a is cfg.copy().a is cfg.a
    assert copy.deepcopy(cfg).a is not cfg.a
    assert copy.deepcopy(cfg) == cfg != Config(dict(a=2))
    assert cfg != {"a": 1}


def test_pickle(write: Write) -> None:
    cfg = Config.fromfile(write(a_py="a = dict(b=[dict(c=1)])"))
    again = pickle.loads(pickle.dumps(cfg))
    assert (again.a.b[0].c, again.filename, again.text, again.to_dict()) == (1, cfg.filename, cfg.text, cfg.to_dict())


def test_diff(write: Write) -> None:
    one = write(a_py="x = 1\ny = 2")
    assert Config.diff(str(one), Config(dict(x=1, y=3))) == f"--- {one}\n+++ \n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n+y = 3"
    assert Config.diff(str(one), str(one)) == ""


def test_auto_argparser(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(a_py="m = dict(depth=50, name='r', on=False)\nsizes = [1, 2]\nnothing = None\nempty = []")
    words = ["--m.depth", "8", "--sizes", "3", "4", "--m.on"]
    monkeypatch.setattr("sys.argv", ["run.py", "a.py", *words])
    parser, cfg = Config.auto_argparser("Runs.")
    options = vars(parser.parse_args())
    assert (options["m.depth"], options["sizes"], options["m.on"], options["config"]) == (8, [3, 4], True, "a.py")
    assert parser.description == "Runs."
    assert cfg.m.depth == 50


def test_dump_needs_no_base(write: Write, tmp_path: Path) -> None:
    cfg = Config.fromfile(
        write(b_py="o = dict(type='SGD', lr=0.02)", a_py="_base_ = 'b.py'\nm = dict(type='R', depth=50)")
    )
    (tmp_path / "out").mkdir()
    cfg.dump(tmp_path / "out" / "a.py")
    cfg.dump(str(tmp_path / "out" / "a.yaml"))
    cfg.dump(tmp_path / "out" / "a.json")
    assert (tmp_path / "out" / "a.py").read_text() == "o = dict(type='SGD', lr=0.02)\nm = dict(type='R', depth=50)\n"
    assert (tmp_path / "out" / "a.yaml").read_text() == "m:\n  depth: 50\n  type: R\no:\n  lr: 0.02\n  type: SGD\n"
    for extension in ("py", "yaml", "json"):
        assert Config.fromfile(tmp_path / "out" / f"a.{extension}") == cfg
