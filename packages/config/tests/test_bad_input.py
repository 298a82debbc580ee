from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from config_parts import Write

from eng.config import Config, ConfigFileError


@pytest.mark.parametrize(
    ("files", "kind", "match"),
    [
        (dict(a_py="_base_ = 'a.py'"), ValueError, r"a.py: the file is its own base: a.py -> a.py"),
        (dict(b_py="_base_ = 'a.py'", a_py="_base_ = 'b.py'"), ValueError, r"own base: a.py -> b.py -> a.py"),
        (dict(b_json='{"_base_": "a.json"}', a_json='{"_base_": "b.json"}'), ValueError, "own base: a.json -> b.json -> a.json"),
        (dict(base_py="x=1", a_py="_base_ = 'bsae.py'"), FileNotFoundError, r"a.py: base config '.*bsae.py' does not exist; did you mean 'base.py'"),
        (dict(a_py="_base_ = 'no/b.py'"), FileNotFoundError, r"b.py' does not exist; its folder does not exist either"),
        (dict(a_py="_base_ = 3"), ValueError, "_base_ must be a file name or a list of file names, got 3"),
        (dict(a_yaml="_base_: [1]"), ValueError, r"a.yaml: _base_ must be a file name.*got \[1\]"),
        (dict(a_py="x = 1\ny = (\nz = 2"), SyntaxError, r"a.py:2: '\(' was never closed\n    y = \(\n        \^"),
        (dict(a_py="x = 1 1"), ValueError, r"a.py:1: .*\n    x = 1 1\n +\^"),
        (dict(a_json='{"x": 1,\n "y" 2}'), SyntaxError, r"a.json:2: Expecting ':' delimiter\n     \"y\" 2}\n         \^"),
        (dict(a_yaml="x: 1\ny: [1, 2\nz: 3"), SyntaxError, r"a.yaml:3: .*\n    z: 3\n"),
        (dict(a_json="[1]"), ValueError, "a config is a mapping of keys to values, this file holds a list"),
        (dict(a_yaml="- 1"), ValueError, "this file holds a list"),
        (dict(b_py="x = 1\nz = 3", c_py="y = 1\nz = 2", a_py="_base_ = ['b.py', 'c.py']"), KeyError, r"a.py: two of its bases set the same key: 'z' in b.py:2 and c.py:2"),
        (dict(a_py="x = 1\ny = '{{_base_.z}}'"), ValueError, r"a.py:2: {{_base_.z}}: the bases define no 'z'"),
        (dict(b_py="m = dict(depth=1)", a_py="_base_ = 'b.py'\nx = {{_base_.m.depht}}"), KeyError, r"a.py:2: .*no 'depht'; did you mean 'depth'"),
        (dict(a_py="\n\nx = '{{$ENG_TEST_NOT_SET}}'"), ValueError, r"a.py:3: .*ENG_TEST_NOT_SET is not set.*{{\$ENG_TEST_NOT_SET:default}}"),
        (dict(a_json='{\n"x": "{{fileDirnam}}"}'), ValueError, r"a.json:2: {{fileDirnam}} is not a predefined variable; did you mean 'fileDirname'"),
        (dict(b_py="x = [1]", a_py="_base_ = 'b.py'\n\nx = dict(y=1)"), TypeError, r"a.py:3 x: a dict cannot be merged onto a list.*_delete_=True.*\(set in b.py:1\)"),
        (dict(b_yaml="m: {n: {o: 1}}", a_yaml="_base_: b.yaml\nm:\n  n:\n    o:\n      p: 1"), TypeError, r"a.yaml:4 m.n.o: a dict cannot be merged onto a int.*\(set in b.yaml:1\)"),
        (dict(a_py="filename = 1"), KeyError, "filename is reserved for config file: it is an attribute of Config"),
        (dict(a_txt="x = 1"), OSError, r"a.txt: only .py, .json, .yaml, .yml files are configs, got extension '.txt'"),
        (dict(a_py="x = 1 / 0"), ZeroDivisionError, "division by zero"),
        (dict(a_py="x = (" * 3000), ValueError, "a.py"),
        (dict(a_json="[" * 100_000), ValueError, "nested too deeply"),
        (dict(a_py="x = 1\0"), ValueError, "null byte"),
    ],
    ids=[
        "own-base", "circle", "circle-json", "missing-base", "missing-folder", "base-number", "base-list", "syntax",
        "syntax-caret", "syntax-json", "syntax-yaml", "list-json", "list-yaml", "duplicate", "undefined", "undefined-near",
        "environment", "predefined", "dict-onto-list", "dict-onto-int", "reserved", "extension", "code", "deep-py",
        "deep-json", "null-byte",
    ],
)  # fmt: skip
def test_message(files: dict[str, str], kind: type[Exception], match: str, write: Write) -> None:
    with pytest.raises(kind, match=match):
        Config.fromfile(write(**files).name)


def test_an_empty_folder_is_not_said_to_be_missing(write: Write) -> None:
    config = write(a_py="_base_ = 'empty/b.py'")
    (config.parent / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty/b.py' does not exist$"):
        Config.fromfile(config)


@pytest.mark.parametrize(
    ("files", "kind", "place"),
    [
        (dict(a_py="x = 1\ny = 1 / 0"), ZeroDivisionError, "a.py:2"),
        (dict(b_py="m = dict(lr=1)", a_py="_base_ = 'b.py'\n\nx = _base_.m.lrr"), AttributeError, "a.py:3"),
        (dict(b_py="m = dict(lr=1)", a_py="_base_ = 'b.py'\nx = _base_['n']"), KeyError, "a.py:2"),
        (dict(b_py="\nx = undefined", a_py="_base_ = 'b.py'\nz = 1"), NameError, "b.py:2"),
        (dict(b_py="\nx = undefined", a_py="from eng.config import read_base\nwith read_base():\n    from .b import *"), NameError, "b.py:2"),
        (dict(a_py="def f():\n    raise ValueError('no')\nx = f()"), ValueError, "a.py:2"),
        (dict(a_py="import json\nx = json.loads('{')"), ValueError, "a.py:2"),
        (dict(a_py="f = '{{fileBasename}}'\nx = int('a')"), ValueError, "a.py:2"),
        (dict(a_py="x = 1 1"), ConfigFileError, None),
    ],
    ids=["code", "attribute", "key", "base", "pure-base", "function", "library", "substituted", "tells-itself"],
)  # fmt: skip
def test_an_error_of_the_code_of_a_config_has_its_place(
    files: dict[str, str], kind: type[Exception], place: str | None, write: Write
) -> None:
    with pytest.raises(kind) as caught:
        Config.fromfile(write(**files).name)
    assert getattr(caught.value, "config_place", None) == place


def test_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes("x = 1\ny = 'é'\n".encode("latin-1"))
    with pytest.raises(ConfigFileError, match=r"a.py:2: not UTF-8 \(byte 0xe9\)") as caught:
        Config.fromfile("a.py")
    assert (caught.value.file, caught.value.line) == ("a.py", 2)


def test_utf8_is_read_under_any_locale(write: Write) -> None:
    path = write(a_py="x = '猫 é'")
    code = f"from eng.config import Config; print(ascii(Config.fromfile({str(path)!r}).x))"
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == ascii("猫 é")


def test_a_missing_file_names_near_ones(write: Write) -> None:
    write(resnet50_py="x = 1")
    with pytest.raises(
        FileNotFoundError, match=r"config file '.*resnet5.py' does not exist; did you mean 'resnet50.py'"
    ):
        Config.fromfile("resnet5.py")


@pytest.mark.parametrize("extension", ["py", "json", "yaml"])
@pytest.mark.parametrize("text", ["", "\n\n", "  \n"])
def test_an_empty_file_is_an_empty_config(extension: str, text: str, write: Write) -> None:
    cfg = Config.fromfile(write(**{f"a_{extension}": text}))
    assert (len(cfg), cfg.pretty_text) == (0, "")


def test_a_file_of_ten_megabytes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = [" + "1, " * 3_500_000 + "]", encoding="utf-8")
    with pytest.raises(
        ConfigFileError, match=r"a.py: too large for a config \(more than 8 MiB\); keep data in a data file"
    ):
        Config.fromfile("a.py")


@pytest.mark.parametrize("wrong", [[1], "text", 3], ids=str)
def test_a_config_is_made_from_a_mapping(wrong: Any) -> None:
    with pytest.raises(TypeError, match="cfg_dict must be a dict"):
        Config(wrong)


def test_reserved_keys_in_code() -> None:
    cfg = Config(dict(a=1))
    with pytest.raises(KeyError, match="text is reserved for config file"):
        Config(dict(text=1))
    with pytest.raises(KeyError, match="pretty_text is reserved"):
        cfg.pretty_text = "x"
    with pytest.raises(KeyError, match="filename is reserved"):
        cfg["filename"] = "x"


def test_another_format() -> None:
    with pytest.raises(OSError, match=r"Only .py, .json, .yaml, .yml are supported, got '.toml'"):
        Config.fromstring("a = 1", ".toml")
