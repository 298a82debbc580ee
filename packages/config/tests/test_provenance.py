from __future__ import annotations

import argparse
import copy
import inspect
import pickle
import threading
from collections.abc import Callable
from typing import Any

import click
import pytest
from config_parts import Write, chain

from eng.config import CommandLineOptions, Config, ConfigDict, DictAction


def test_where_of_nodes_and_leaves(cfg: Config) -> None:
    assert cfg.__where__() == "run.py"
    assert cfg.__where__("size") == "run.py:3"
    assert cfg.optimizer.__where__("lr") == "run.py:2"
    assert cfg.optimizer.__where__(None) == "run.py:2"
    assert cfg.optimizer.groups[1].__where__("a") == "deep.py:6"
    assert cfg.pipeline[1].__where__() == "run.py:6"
    assert ConfigDict(a=1).__where__("a") is None
    assert cfg.optimizer.__where__("nothing") is None


def test_every_value_of_a_config_has_a_place(cfg: Config) -> None:
    def walk(node: Any) -> None:
        for key in node if isinstance(node, ConfigDict) else ():
            assert node.__where__(key).rpartition(":")[2].isdigit(), key
            for item in [node[key]] if not isinstance(node[key], list) else node[key]:
                walk(item)

    walk(cfg._cfg_dict)


def test_command_line(cfg: Config) -> None:
    words = ["--o", "optimizer.lr=0.4", "optimizer.groups.0.a=9", "new.key=1", "model=dict(depth=1)"]
    parser = argparse.ArgumentParser()
    parser.add_argument("--o", nargs="+", action=DictAction)
    cfg.merge_from_dict(parser.parse_args(words).o)
    assert chain(cfg, "optimizer.lr")[-2:] == [("child file", "run.py", 2, 0.3), ("command line", None, None, 0.4)]
    assert chain(cfg, "optimizer.groups.0.a") == [("base file", "deep.py", 5, 1), ("command line", None, None, 9)]
    assert cfg.explain("optimizer.groups.1.a")[-1].where == "deep.py:6"
    assert (
        cfg.optimizer.groups[0].__where__("a")
        == cfg.new.__where__("key")
        == cfg.model.__where__("depth")
        == "command line"
    )
    assert cfg.model.neck.__where__("m") == "run.py:12"


def test_a_merge_in_code_is_code(cfg: Config) -> None:
    cfg.merge_from_dict({"optimizer.lr": 0.4})
    step = cfg.explain("optimizer.lr")[-1]
    assert (step.layer, step.value) == ("code", 0.4)
    assert step.where.endswith(f"test_provenance.py:{line() - 3}")


def line() -> int:
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def test_code(cfg: Config) -> None:
    cfg.optimizer.lr = 0.5
    here = line() - 1
    assert chain(cfg, "optimizer.lr")[-1] == ("code", __file__, here, 0.5)
    cfg.model = dict(depth=2, sub=[dict(x=1)])
    here = line() - 1
    assert cfg.explain("model.sub.0.x")[-1].where == cfg.model.sub[0].__where__("x") == f"{__file__}:{here}"
    assert [step.value for step in cfg.explain("model.depth")] == [50, 2]
    cfg.optimizer.update(type="Adam")
    here = line() - 1
    assert [step.where for step in cfg.explain("optimizer.type")] == ["deep.py:2", f"{__file__}:{here}"]
    made = Config(dict(a=dict(b=1)))
    here = line() - 1
    assert chain(made, "a.b") == [("code", __file__, here, 1)]


@pytest.mark.parametrize(
    ("extension", "text", "lines"),
    [
        (
            "py",
            "x = '{{$ENG_TEST_X:80}}'\ny = dict(\n  z={{'$ENG_TEST_X:80'}},\n  w='a/{{$ENG_TEST_X:80}}')",
            (1, 3, 4),
        ),
        (
            "json",
            '{"x": "{{$ENG_TEST_X:80}}",\n"y": {"z": {{"$ENG_TEST_X:80"}},\n\n"w": "a/{{$ENG_TEST_X:80}}"}}',
            (1, 2, 4),
        ),
        ("yaml", "x: '{{$ENG_TEST_X:80}}'\ny:\n  z: {{'$ENG_TEST_X:80'}}\n  w: a/{{$ENG_TEST_X:80}}", (1, 3, 4)),
    ],
    ids=["py", "json", "yaml"],
)
def test_environment(extension: str, text: str, lines: Any, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(**{f"a_{extension}": text}).name
    assert [step.layer for step in Config.fromfile(path).explain("y.z")] == ["config file"]
    monkeypatch.setenv("ENG_TEST_X", "20")
    cfg = Config.fromfile(path)
    for key, number, old, new in [("y.z", lines[1], 80, 20), ("y.w", lines[2], "a/80", "a/20")]:
        assert chain(cfg, key) == [
            ("config file", path, number, old),
            ("environment variable", "$ENG_TEST_X", None, new),
        ]
    assert cfg.__where__("x") == "$ENG_TEST_X"


def test_loops_and_conditions_have_the_line_of_the_statement(write: Write) -> None:
    cfg = Config.fromfile(
        write(
            a_py="a = []\nfor i in range(2):\n    a.append(i)\nif a:\n    b = dict(\n        x=1)\nc = [j for j in a]\ntry:\n    d = 1\nfinally:\n    e, f = 1, 2\nf += 1"
        ).name
    )
    assert [cfg.__where__(key) for key in "abcdef"] == [f"a.py:{n}" for n in (3, 5, 7, 9, 11, 12)]
    assert cfg.b.__where__("x") == "a.py:6"


def test_pure_python_style(write: Write) -> None:
    head = "from eng.config import read_base\nwith read_base():\n"
    path = write(
        b_py="o = dict(\n    lr=1,\n    m=2)\np = 1",
        a_py=head + "    from .b import o as q, p\nq.update(dict(\n    lr=3))\nq.new = 4\n",
    )
    cfg = Config.fromfile(path.name)
    assert chain(cfg, "q.lr") == [("base file", "b.py", 2, 1), ("child file", "a.py", 5, 3)]
    assert chain(cfg, "q.m") == [("base file", "b.py", 3, 2)]
    assert cfg.q.__where__("new") == "a.py:6"
    assert cfg.__where__("p") == "b.py:4"


@pytest.mark.parametrize(
    "again", [copy.deepcopy, copy.copy, lambda cfg: pickle.loads(pickle.dumps(cfg))], ids=["deep", "copy", "pickle"]
)
def test_copies_and_pickles_remember(cfg: Config, again: Callable[[Config], Config]) -> None:
    cfg.optimizer.lr = 7
    cfg.merge_from_dict({"model.depth": 9})
    other = again(cfg)
    assert other == cfg
    assert [chain(other, key) for key in ("optimizer.lr", "model.depth", "pipeline.1.size")] == [
        chain(cfg, key) for key in ("optimizer.lr", "model.depth", "pipeline.1.size")
    ]
    other.optimizer.lr = 8
    assert (
        len(other.explain("optimizer.lr")) == len(cfg.explain("optimizer.lr")) + 1 or other.optimizer is cfg.optimizer
    )


def test_it_prints_as_a_chain(cfg: Config) -> None:
    cfg.merge_from_dict(CommandLineOptions({"optimizer.lr": 0.4}))
    assert str(cfg.explain("optimizer.lr")).splitlines() == [
        "optimizer.lr",
        "  1. base file             deep.py:3  = 0.1",
        "  2. base file             base.py:3  = 0.2",
        "  3. child file            run.py:2  = 0.3",
        "  4. command line  = 0.4",
    ]
    assert pickle.loads(pickle.dumps(cfg.explain("size"))) == cfg.explain("size")


@pytest.mark.parametrize(
    ("key", "match"),
    [
        ("optimizer.lrr", "no key 'optimizer.lrr' in this config; did you mean 'optimizer.lr'"),
        ("pipeline.7", "no key 'pipeline.7'"),
        ("size.x", "no key 'size.x'"),
    ],
)
def test_a_key_that_is_not_there(cfg: Config, key: str, match: str) -> None:
    with pytest.raises(KeyError, match=match):
        cfg.explain(key)


def test_layers_keep_what_they_said(cfg: Config) -> None:
    cfg.pipeline[0].type = "Changed"
    cfg.optimizer.groups.append(dict(a=3))
    assert [step.value for step in cfg.explain("pipeline.0.type")] == ["Load", "Changed"]
    assert cfg.explain("optimizer.groups")[0].value == [dict(a=1), dict(a=2)]


def test_what_eng_sets_has_the_line_of_its_caller() -> None:
    space: dict[str, Any] = {"__name__": "eng.runner.spec", "Config": Config}
    exec("def as_config(values):\n    cfg = Config(values)\n    cfg.b = 2\n    return cfg\n", space)
    made = space["as_config"](dict(a=1))
    here = line() - 1
    assert {made.explain(key)[-1].where for key in "ab"} == {f"{__file__}:{here}"}


def test_what_a_command_of_eng_sets_has_no_line() -> None:
    """The console script calls click, which calls the command; a thread has no frame of this test below them."""
    space: dict[str, Any] = {"__name__": "eng.runner.commands", "Config": Config, "made": []}
    exec("def train():\n    made.append(Config(dict(a=1)))\n", space)
    script = {"__name__": "__main__", "__spec__": None, "command": click.Command("train", callback=space["train"])}
    exec(compile("def main():\n    command.main([], standalone_mode=False)\n", "/env/bin/eng", "exec"), script)
    thread = threading.Thread(target=script["main"])
    thread.start()
    thread.join(10)
    assert space["made"][0].explain("a")[-1].where == "code"


def test_what_a_thread_of_eng_sets_has_no_line() -> None:
    space: dict[str, Any] = {"__name__": "eng.runner.spec", "Config": Config, "made": []}
    exec("def make():\n    made.append(Config(dict(a=1)))\n", space)
    thread = threading.Thread(target=space["make"])
    thread.start()
    thread.join(10)
    assert space["made"][0].explain("a")[-1].where == "code"
