from __future__ import annotations

import pytest

import eng.fileio as fileio


def test_lines_in_another_encoding_name_file_and_line(tmp_path):
    (tmp_path / "a.txt").write_bytes("a\nä b\n".encode("latin-1"))
    with pytest.raises(fileio.ParseError, match=r"a\.txt:2:1: .*byte 0xe4; give its encoding"):
        fileio.list_from_file(tmp_path / "a.txt")
    assert fileio.list_from_file(tmp_path / "a.txt", encoding="latin-1") == ["a", "ä b"]


@pytest.fixture
def lines(tmp_path):
    (tmp_path / "a.txt").write_text("a\nb\nc\nd\ne\n")
    return tmp_path / "a.txt"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, list("abcde")),
        ({"offset": 2}, list("cde")),
        ({"max_num": 2}, list("ab")),
        ({"offset": 3, "max_num": 9}, list("de")),
        ({"prefix": "/mnt/"}, [f"/mnt/{c}" for c in "abcde"]),
        ({"offset": 9}, []),
    ],
    ids=str,
)
def test_list_from_file(lines, options, expected):
    assert fileio.list_from_file(lines, **options) == expected


def test_dict_from_file(tmp_path):
    (tmp_path / "b.txt").write_text("1 cat\n2 dog cow\n3 panda\n")
    assert fileio.dict_from_file(tmp_path / "b.txt") == {"1": "cat", "2": ["dog", "cow"], "3": "panda"}
    assert fileio.dict_from_file(tmp_path / "b.txt", key_type=int)[2] == ["dog", "cow"]
    (tmp_path / "c.txt").write_text("1 cat\nalone\n")
    with pytest.raises(fileio.ParseError, match=r"c\.txt:2: expected a key and a value, got 'alone'"):
        fileio.dict_from_file(tmp_path / "c.txt")
    (tmp_path / "d.txt").write_text("x y\n")
    with pytest.raises(fileio.ParseError, match=r"d\.txt:1: cannot use 'x' as a key"):
        fileio.dict_from_file(tmp_path / "d.txt", key_type=int)
