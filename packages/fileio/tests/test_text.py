"""A byte-order mark is no part of a text."""

from __future__ import annotations

import io

import pytest

import eng.fileio as fileio

MARK = b"\xef\xbb\xbf"


@pytest.fixture(params=["local", "memory"])
def write(request, tmp_path):
    """Writes a file that begins with the mark to either storage; gives its path."""

    def put(name, content):
        path = str(tmp_path / name) if request.param == "local" else f"memory://marked/{name}"
        fileio.put(MARK + content, path)
        return path

    return put


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", b'{"a": 1}'), ("a.yaml", b"a: 1\n"), ("a.yml", b"a: 1\n"), ("a.toml", b"a = 1\n")]
)
def test_formats_load(write, name, content):
    assert fileio.load(write(name, content)) == {"a": 1}


@pytest.mark.parametrize(("file_format", "content"), [("json", '{"a": 1}'), ("yaml", "a: 1"), ("toml", "a = 1")])
def test_open_files_load(file_format, content):
    assert fileio.load(io.StringIO("\ufeff" + content), file_format=file_format) == {"a": 1}


def test_lists_dictionaries_and_text(write):
    path = write("classes.txt", "cat 1\nhündin 2\n".encode())
    assert fileio.list_from_file(path) == ["cat 1", "hündin 2"]
    assert fileio.dict_from_file(path) == {"cat": "1", "hündin": "2"}
    assert fileio.get_text(path) == "cat 1\nhündin 2\n"
    assert fileio.FileClient.infer_client(uri=path).get_text(path) == "cat 1\nhündin 2\n"


def test_other_encodings_keep_what_they_say(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(MARK + b"cat")
    assert fileio.get_text(path, encoding="latin-1") == "\xef\xbb\xbfcat"
    path.write_bytes(b"a" + MARK + b"cat")
    assert fileio.get_text(path) == "a\ufeffcat"


def test_bytes_keep_the_mark(write):
    assert fileio.get(write("a.bin", b"x")) == MARK + b"x"
