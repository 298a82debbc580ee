from __future__ import annotations

import hashlib
import hmac
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
