from __future__ import annotations

import pytest
from config_parts import Write, chain

from eng.config import Config


def test_files_from_oldest_to_newest(cfg: Config) -> None:
    assert chain(cfg, "optimizer.lr") == [
        ("base file", "deep.py", 3, 0.1),
        ("base file", "base.py", 3, 0.2),
        ("child file", "run.py", 2, 0.3),
    ]


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("optimizer.type", "deep.py:2"),
        ("optimizer.groups.1.a", "deep.py:6"),
        ("model.depth", "base.py:5"),
        ("model.neck.m", "run.py:12"),
        ("pipeline.1.type", "run.py:7"),
        ("pipeline.1.size", "run.py:8"),
        ("loader.pipeline.0.type", "run.py:5"),
        ("loader.pipeline", "run.py:10"),
        ("size", "run.py:3"),
    ],
)
def test_every_leaf_has_its_line(cfg: Config, key: str, where: str) -> None:
    assert cfg.explain(key)[-1].where == where


def test_what_was_deleted_is_told(cfg: Config) -> None:
    assert [step.value for step in cfg.explain("model.neck")] == [{"n": 1}, {"_delete_": True, "m": 2}]


@pytest.mark.parametrize(
    ("extension", "text"),
    [
        ("json", '{\n"a": {"b": 1,\n"c": [\n{"d": "x, {y}: \\" z"},\n{"e": 1}]},\n"_base_": "b.json",\n\n"f": null}'),
        ("yaml", "\na: {b: 1,\n  c: [\n    {d: x},\n    {e: 1}]}\n_base_: b.json\n\nf: null"),
    ],
    ids=["json", "yaml"],
)
def test_json_and_yaml(extension: str, text: str, write: Write) -> None:
    cfg = Config.fromfile(write(b_json='{"a": {"b": 0}}', **{f"a_{extension}": text}).name)
    assert chain(cfg, "a.b") == [("base file", "b.json", 1, 0), ("child file", f"a.{extension}", 2, 1)]
    assert [cfg.explain(key)[-1].line for key in ("a.c", "a.c.0.d", "a.c.1.e", "f")] == [3, 4, 5, 8]


def test_changes_through_base(write: Write) -> None:
    path = write(
        b_py="m = dict(a=1, b=2)\nn = dict(c=3)",
        a_py="_base_ = 'b.py'\n_base_.m.a = 10\nk = _base_.n\nk.c = 30\n_base_.n.update(d=4)",
    )
    cfg = Config.fromfile(path.name)
    assert chain(cfg, "m.a") == [("base file", "b.py", 1, 1), ("child file", "a.py", 2, 10)]
    assert chain(cfg, "m.b") == [("base file", "b.py", 1, 2)]
    assert chain(cfg, "n.c") == [("base file", "b.py", 2, 3), ("child file", "a.py", 4, 30)]
    assert chain(cfg, "n.d") == [("child file", "a.py", 5, 4)]
