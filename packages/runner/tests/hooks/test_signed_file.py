from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

import pytest

from eng.hooks._signed_file import ForeignFile, key_file, read_signed, write_signed


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_what_was_written_is_read_for_the_same_purpose_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_signed(path, b"content", b"torch 2.13")
    assert read_signed(path, b"torch 2.13") == b"content"
    for purpose in (b"torch 2.14", b"", b"torch 2.13c"):
        with pytest.raises(ForeignFile):
            read_signed(path, purpose)
    assert list(tmp_path.glob("file.*")) == []


def test_each_changed_byte_makes_the_file_foreign(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_signed(path, b"content", b"purpose")
    signed = path.read_bytes()
    for number in range(len(signed)):
        path.write_bytes(signed[:number] + bytes([signed[number] ^ 1]) + signed[number + 1 :])
        with pytest.raises(ForeignFile):
            read_signed(path, b"purpose")
    for length in (0, 10, 32, len(signed) - 1):
        path.write_bytes(signed[:length])
        with pytest.raises(ForeignFile):
            read_signed(path, b"purpose")


def test_the_file_of_another_user_is_foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_signed(path, b"content", b"purpose")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other"))
    with pytest.raises(ForeignFile):
        read_signed(path, b"purpose")
    assert not key_file().exists()  # reading makes no key


def test_the_key_is_the_users_and_the_signature_is_hmac_sha256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_signed(path, b"content", b"p")
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    signed_bytes = (1).to_bytes(8, "big") + b"p" + b"content"
    expected = hmac.new(key_file().read_bytes(), signed_bytes, hashlib.sha256).digest()
    assert path.read_bytes() == expected + b"content"


def test_a_missing_file_is_no_foreign_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_signed(tmp_path / "none", b"p")


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 33])
def test_a_file_that_holds_no_key_signs_nothing(tmp_path: Path, key: bytes) -> None:
    key_file().parent.mkdir(parents=True)
    key_file().write_bytes(key)
    path = tmp_path / "file"
    tag = hmac.new(key, (1).to_bytes(8, "big") + b"p" + b"content", hashlib.sha256).digest()
    path.write_bytes(tag + b"content")
    with pytest.raises(ForeignFile, match=r"compile_cache\.key is no key: delete it"):
        read_signed(path, b"p")
    with pytest.raises(ForeignFile, match=r"compile_cache\.key is no key: delete it"):
        write_signed(tmp_path / "new", b"content", b"p")
    assert not (tmp_path / "new").exists() and key_file().read_bytes() == key


def test_a_kill_while_the_key_is_made_leaves_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object) -> None:
        assert not key_file().exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", kill)
        with pytest.raises(KeyboardInterrupt):
            write_signed(tmp_path / "file", b"content", b"p")
    assert list(key_file().parent.iterdir()) == []
    write_signed(tmp_path / "file", b"content", b"p")
    assert read_signed(tmp_path / "file", b"p") == b"content"


def test_the_key_of_a_process_that_was_faster_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def other_was_faster(draft: Path, path: Path) -> None:
        path.write_bytes(b"k" * 32)
        link(draft, path)

    monkeypatch.setattr(os, "link", other_was_faster)
    write_signed(tmp_path / "file", b"content", b"p")
    assert [path.read_bytes() for path in key_file().parent.iterdir()] == [b"k" * 32]
    assert read_signed(tmp_path / "file", b"p") == b"content"


def test_a_prepared_link_is_not_followed(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "file"
    victim.write_bytes(b"untouched")
    for link in (path, tmp_path / f"file.{os.getpid()}.tmp"):
        link.symlink_to(victim)
    write_signed(path, b"content", b"p")
    assert victim.read_bytes() == b"untouched" and not path.is_symlink()
