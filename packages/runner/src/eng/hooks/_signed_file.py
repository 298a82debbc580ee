"""Signed files: only the user who wrote a file can read it again, because its bytes are signed with the user's key."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["ForeignFile", "key_file", "read_signed", "write_signed"]

_KEY_BYTES = 32
_TAG_BYTES = hashlib.sha256().digest_size


class ForeignFile(Exception):  # noqa: N818  # The run continues without the file, so this is no error of the run.
    """The signature of a file is wrong, because another user wrote or changed the file; or the key file is damaged."""


def key_file() -> Path:
    """Returns the path of the file with this user's secret key, with which files are signed."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "eng" / "compile_cache.key"


def write_signed(path: Path, content: bytes, purpose: bytes) -> None:
    """Writes a file with a signature and ``content``, atomically.

    :func:`read_signed` accepts the file only for the same ``purpose``.

    Args:
        path: path of the file.
        content: content of the file.
        purpose: what the content is used for, such as a library with its version. The signature depends on the purpose,
            but the file does not contain the purpose.

    Raises:
        ForeignFile: the user's key file has a wrong length.
    """
    signed = _tag(content, purpose) + content
    with _draft_of(path, signed, 0o666) as draft:
        draft.replace(path)


def read_signed(path: Path, purpose: bytes) -> bytes:
    """Returns the content of a file that this user wrote with :func:`write_signed` for the same ``purpose``.

    Raises:
        ForeignFile: the file was written by another user, on another machine or for another purpose, or was changed; or the
            user's key file has a wrong length.
        FileNotFoundError: the file does not exist.
    """
    signed = path.read_bytes()
    tag, content = signed[:_TAG_BYTES], signed[_TAG_BYTES:]
    if not key_file().exists() or not hmac.compare_digest(tag, _tag(content, purpose)):
        raise ForeignFile(str(path))
    return content


def _tag(content: bytes, purpose: bytes) -> bytes:
    """Returns the HMAC-SHA256 of purpose and content, with the user's key.

    The length of the purpose is signed, too, so that no bytes can be moved between purpose and content.
    """
    digest = hmac.new(_key(), len(purpose).to_bytes(8, "big") + purpose, hashlib.sha256)
    digest.update(content)
    return digest.digest()


def _key() -> bytes:
    """Returns the user's secret key. If the key file is missing, the function creates it, readable by the user only."""
    path = key_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with _draft_of(path, secrets.token_bytes(_KEY_BYTES), 0o600) as draft, suppress(FileExistsError):
            # If another process created the key file meanwhile, the hard link fails and the other key stays; a rename
            # would replace the other key.
            os.link(draft, path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise ForeignFile(f"{path} is no key: delete it")
    return key


@contextmanager
def _draft_of(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """Writes a temporary file beside ``path``, yields its path, and deletes the file after the ``with`` block.

    The file's name is random, so that another user cannot place a symbolic link with this name beforehand.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
