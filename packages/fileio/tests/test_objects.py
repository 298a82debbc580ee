from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import pytest

import eng.fileio as fileio
from eng.fileio.errors import UnknownFormatError

numpy = pytest.importorskip("numpy")


yaml = pytest.importorskip("yaml")


OBJECT = {"a": [1, 2.5, None, True], "\u00fc": {"b": "text"}}


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml", "pkl", "pickle"])
@pytest.mark.parametrize("as_path", [str, Path], ids=["str", "Path"])
def test_round_trip_through_a_local_file(tmp_path, suffix, as_path):
    path = as_path(tmp_path / "dir" / f"x.{suffix}")
    fileio.dump(OBJECT, path)
    assert fileio.load(path) == OBJECT


@pytest.mark.parametrize("fmt", ["json", "yaml", "pkl"])
def test_round_trip_through_file_objects_and_strings(fmt):
    text = fileio.dump(OBJECT, file_format=fmt)
    stream = io.BytesIO() if fmt == "pkl" else io.StringIO()
    fileio.dump(OBJECT, stream, file_format=fmt)
    assert stream.getvalue() == text
    stream.seek(0)
    assert fileio.load(stream, file_format=fmt) == OBJECT


@pytest.mark.parametrize("fmt", ["json", "yaml"])
def test_numpy_sets_and_ranges_become_plain(fmt):
    value = {"x": numpy.arange(3), "s": {3, 1}, "r": range(2), "n": numpy.float32(0.5)}
    loaded = fileio.load(io.StringIO(fileio.dump(value, file_format=fmt)), file_format=fmt)
    assert loaded["x"] == [0, 1, 2]
    assert sorted(loaded["s"]) == [1, 3]
    assert loaded["r"] == [0, 1]
    assert loaded["n"] == 0.5


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("a.json", '{"a": 1,\n "b" 2}', r"a\.json:2:6: malformed JSON: Expecting ':'"),
        ("empty.json", "", r"empty\.json:1:1: malformed JSON.*the file is empty"),
        ("a.yaml", "a: 1\nb: [1, 2\nc: 3\n", r"a\.yaml:3:\d+: malformed YAML"),
        ("a.toml", "a = 1\nb = = 2\n", r"a\.toml:2:\d+: malformed TOML"),
        ("evil.yaml", "!!python/object/apply:os.system ['true']", r"evil\.yaml:1:1: .*Loader=yaml.UnsafeLoader"),
    ],
)
def test_malformed_files_name_line_and_column(tmp_path, name, text, where):
    (tmp_path / name).write_text(text)
    with pytest.raises(fileio.ParseError, match=where) as caught:
        fileio.load(tmp_path / name)
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (str(copied), copied.line) == (str(caught.value), caught.value.line)


@pytest.mark.parametrize(
    ("name", "content", "error", "where"),
    [
        ("a.json", b'{"a": 1,\n "b": "\xe4"}', ValueError, r"a\.json:2:8: JSON must be UTF-8, but holds the byte 0xe4"),
        ("a.toml", b'a = "\xe4"\n', ValueError, r"a\.toml:1:6: TOML must be UTF-8"),
        ("a.yaml", b'a: "\xe4"\n', yaml.YAMLError, r"a\.yaml: malformed YAML: .*UTF-8"),
        ("a.pkl", b"no pickle", pickle.UnpicklingError, r"a\.pkl: no whole pickle"),
        ("a.pkl", pickle.dumps(list(range(99)))[:50], EOFError, r"a\.pkl: no whole pickle"),
        ("a.pkl", b"", EOFError, r"a\.pkl: no whole pickle"),
    ],
    ids=["json", "toml", "yaml", "no-pickle", "cut-pickle", "empty-pickle"],
)
def test_another_encoding_and_broken_pickles_name_the_file(tmp_path, name, content, error, where):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(fileio.ParseError, match=where) as caught:
        fileio.load(tmp_path / name)
    assert isinstance(caught.value, error)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_parse_errors_are_those_of_the_libraries_too(tmp_path):
    with pytest.raises(json.JSONDecodeError, match="<stream>:1:2"):
        fileio.load(io.StringIO("{"), file_format="json")
    with pytest.raises(yaml.YAMLError, match="malformed"):
        fileio.load(io.StringIO("[1"), file_format="yaml")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda d: fileio.load(d / "a.jsn"), UnknownFormatError, "Unsupported format: 'jsn'; did you mean 'json'"),
        (lambda d: fileio.load(d), IsADirectoryError, "is a directory; name the file"),
        (lambda d: fileio.load(3), TypeError, "must be a path or a file object"),
        (lambda d: fileio.load(io.StringIO()), ValueError, "needs file_format"),
        (lambda d: fileio.dump(1), ValueError, "the format must be named"),
        (lambda d: fileio.load(d / "absent.json"), FileNotFoundError, "absent.json"),
    ],
    ids=["suffix", "directory", "type", "stream", "nothing", "missing"],
)
def test_bad_arguments_are_named(tmp_path, call, error, match):
    (tmp_path / "dir.json").mkdir()
    with pytest.raises(error, match=match):
        call(tmp_path / "dir.json" if match.startswith("is a directory") else tmp_path)


def test_file_client_args_still_work_and_warn(tmp_path):
    fileio.dump([1], tmp_path / "a.json")
    with pytest.warns(DeprecationWarning, match="use backend_args"):
        assert fileio.load(tmp_path / "a.json", file_client_args={"backend": "disk"}) == [1]
    with (
        pytest.warns(DeprecationWarning, match="use backend_args"),
        pytest.raises(ValueError, match="came together with file_client_args"),
    ):
        fileio.load(tmp_path / "a.json", file_client_args={}, backend_args={})
