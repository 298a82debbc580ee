from __future__ import annotations

from typing import Any

import pytest
from config_parts import Write

from eng.config import Config

BASE = dict(b_py="model = dict(type='R', depth=50)\nitems = [1, dict(x=2)]\nname = 'n'")


@pytest.mark.parametrize(
    ("extension", "text"),
    [
        ("py", "_base_='b.py'\na={{_base_.model}}\nb={{ _base_.model.depth }}\nc='{{_base_.name}}/x'\nd={{_base_.items.1.x}}\ne='{{_base_.model}}'"),
        ("json", '{"_base_": "b.py", "a": {{_base_.model}}, "b": {{ _base_.model.depth }}, "c": "{{_base_.name}}/x", "d": {{_base_.items.1.x}}, "e": "{{_base_.model}}"}'),
        ("yaml", "_base_: b.py\na: {{_base_.model}}\nb: {{ _base_.model.depth }}\nc: '{{_base_.name}}/x'\nd: {{_base_.items.1.x}}\ne: '{{_base_.model}}'"),
    ],
    ids=["py", "json", "yaml"],
)  # fmt: skip
def test_base_values(extension: str, text: str, write: Write) -> None:
    cfg = Config.fromfile(write(**BASE, **{f"a_{extension}": text}))
    model = dict(type="R", depth=50)
    assert (cfg.a, cfg.b, cfg.c, cfg.d, cfg.e) == (model, 50, "n/x", 2, model)


def test_base_values_are_copies(write: Write) -> None:
    cfg = Config.fromfile(write(**BASE, a_py="_base_='b.py'\na={{_base_.model}}\na['type']='M'"))
    assert (cfg.a.type, cfg.model.type) == ("M", "R")


@pytest.mark.parametrize("extension", ["py", "json", "yaml"])
def test_predefined(extension: str, write: Write) -> None:
    values = dict(d="{{fileDirname}}", b="{{ fileBasename }}", n="x/{{fileBasenameNoExtension}}/y", e="{{fileExtname}}")
    text = {
        "py": "\n".join(f"{key} = {value!r}" for key, value in values.items()),
        "json": __import__("json").dumps(values),
        "yaml": "\n".join(f"{key}: '{value}'" for key, value in values.items()),
    }[extension]
    path = write(**{f"run_{extension}": text})
    expected = dict(d=str(path.parent), b=path.name, n="x/run/y", e=f".{extension}")
    assert Config.fromfile(path).to_dict() == expected
    assert Config.fromfile(path, use_predefined_variables=False).to_dict() == values


def test_each_file_has_its_own_predefined_values(write: Write) -> None:
    path = write(b_py="x = '{{fileBasename}}'", a_py="_base_ = 'b.py'\ny = '{{fileBasename}}'")
    assert Config.fromfile(path).to_dict() == dict(x="b.py", y="a.py")


# text, value with the default, value with 20 in the environment
ENVIRONMENT = [
    ("py", "x = '{{$ENG_TEST_X:/data/c++}}'", "/data/c++", "20"),
    ("py", "x = '{{ $ENG_TEST_X : 3 }}'", "3", "20"),
    ("py", "x = {{'$ENG_TEST_X:80'}}", 80, 20),
    ("py", 'x = {{"$ENG_TEST_X:[1, 2]"}}', [1, 2], 20),
    ("py", "x = {{$ENG_TEST_X:None}}", None, 20),
    ("py", "x = {{'$ENG_TEST_X:resnet'}}", "resnet", 20),
    ("py", "x = 'a/{{$ENG_TEST_X:}}/b'", "a//b", "a/20/b"),
    ("json", '{"x": "{{$ENG_TEST_X:80}}"}', "80", "20"),
    ("json", '{"x": {{"$ENG_TEST_X:80"}}}', 80, 20),
    ("json", '{"x": {{$ENG_TEST_X:true}}}', True, 20),
    ("yaml", "x: '{{$ENG_TEST_X:80}}'", "80", "20"),
    ("yaml", "x: {{'$ENG_TEST_X:80'}}", 80, 20),
    ("yaml", "x: a/{{$ENG_TEST_X:b}}", "a/b", "a/20"),
]


@pytest.mark.parametrize(
    ("extension", "text", "default", "given"), ENVIRONMENT, ids=lambda each: str(each).replace("/", "")
)
def test_environment(
    extension: str, text: str, default: Any, given: Any, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(**{f"a_{extension}": text})
    cfg = Config.fromfile(path)
    assert (cfg.x, cfg.env_variables) == (default, {})
    monkeypatch.setenv("ENG_TEST_X", "20")
    cfg = Config.fromfile(path)
    assert (cfg.x, cfg.env_variables) == (given, {"ENG_TEST_X": "20"})


def test_environment_takes_effect_before_the_file_runs(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENG_TEST_X", "/new/")
    cfg = Config.fromfile(write(a_py="root = '{{$ENG_TEST_X:/old/}}'\nfile = root + 'train.json'"))
    assert cfg.file == "/new/train.json"


@pytest.mark.parametrize("value", ["it's", 'a"b', "\\n", "'; import os; '", "{{fileDirname}}", "_EngSub0_"])
@pytest.mark.parametrize(
    ("extension", "text"),
    [("py", "x = '{{$ENG_TEST_X:d}}'"), ("json", '{"x": "{{$ENG_TEST_X:d}}"}'), ("yaml", "x: '{{$ENG_TEST_X:d}}'")],
    ids=["py", "json", "yaml"],
)
def test_a_value_cannot_break_out_of_its_quotes(
    extension: str, text: str, value: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENG_TEST_X", value)
    assert Config.fromfile(write(**{f"a_{extension}": text})).x == value


def test_environment_switched_off(write: Write) -> None:
    path = write(a_py="x = '{{$ENG_TEST_X:1}}'")
    assert Config.fromfile(path, use_environment_variables=False).x == "{{$ENG_TEST_X:1}}"


def test_other_braces_are_left_alone(write: Write) -> None:
    path = write(a_py="prompt = '{{role}}: {{ user.name }}'\nd = {'a': {'b': {}}}")
    assert Config.fromfile(path).to_dict() == dict(prompt="{{role}}: {{ user.name }}", d=dict(a=dict(b={})))


def test_base_names_are_substituted(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENG_TEST_X", "b")
    path = write(**BASE, a_py="_base_ = '{{fileDirname}}/{{$ENG_TEST_X:c}}.py'")
    assert Config.fromfile(path).name == "n"


def test_lines_below_a_long_substitution_keep_their_numbers(write: Write) -> None:
    path = write(**BASE, a_json='{"_base_": "b.py",\n"a": {{\n_base_.name\n}},\n"z": 1}')
    assert Config.fromfile(path).__where__("z") == "a.json:5"
