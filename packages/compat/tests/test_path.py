from __future__ import annotations

import pytest

from eng.compat.utils import path


def test_files_and_folders(tmp_path) -> None:
    for name in ("a.txt", "b.TXT", ".hidden.txt", "sub/c.txt"):
        file = tmp_path / name
        path.mkdir_or_exist(file.parent)
        file.touch()
    assert sorted(path.scandir(tmp_path, ".txt")) == ["a.txt"]
    assert sorted(path.scandir(tmp_path, (".txt",), recursive=True, case_sensitive=False)) == [
        "a.txt",
        "b.TXT",
        "sub/c.txt",
    ]
    with pytest.raises(TypeError, match="suffix"):
        path.scandir(tmp_path, suffix=3)
    with pytest.raises(FileNotFoundError, match='file ".*nope" does not exist'):
        path.check_file_exist(tmp_path / "nope")
    path.symlink(tmp_path / "a.txt", tmp_path / "link")
    path.symlink(tmp_path / "b.TXT", tmp_path / "link")
    assert (tmp_path / "link").resolve().name == "b.TXT"
    with path.fopen(tmp_path / "a.txt", "w") as file:
        file.write("x")
    with pytest.raises(ValueError, match="filepath takes a str or a Path"):
        path.fopen(3)
    (tmp_path / ".git").mkdir()
    assert path.find_vcs_root(tmp_path / "sub/c.txt") == str(tmp_path)
    assert path.is_abs("s3://a/b") and path.is_abs(str(tmp_path)) and not path.is_abs("a/b")
    path.mkdir_or_exist("")
