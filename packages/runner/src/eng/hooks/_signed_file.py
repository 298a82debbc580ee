"""Files that only the user who wrote them has read again: their bytes are signed with a key of the user."""

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


class ForeignFile(Exception):  # noqa: N818  # not an error of the run: the file is left alone
    """A file that this user did not write, or that was changed; or a key that is none."""


def key_file() -> Path:
    """Where the key of this user lies."""
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "eng" / "compile_cache.key"


def write_signed(path: Path, content: bytes, purpose: bytes) -> None:
    """Writes a file that :func:`read_signed` accepts for the same purpose; at no moment is there half a file.

    Args:
        path: of the file.
        content: what it holds.
        purpose: what the content is for, such as a version of a library; signed, and not in the file.

    Raises:
        ForeignFile: the file of the user's key holds no key.
    """
    signed = _tag(content, purpose) + content
    with _draft_of(path, signed, 0o666) as draft:
        draft.replace(path)


def read_signed(path: Path, purpose: bytes) -> bytes:
    """The content of a file that this user wrote for this purpose.

    Raises:
        ForeignFile: another user or machine wrote it, it was changed, it has another purpose, or the file of the user's key holds no key.
        FileNotFoundError: there is no such file.
    """
    signed = path.read_bytes()
    tag, content = signed[:_TAG_BYTES], signed[_TAG_BYTES:]
    if not key_file().exists() or not hmac.compare_digest(tag, _tag(content, purpose)):
        raise ForeignFile(str(path))
    return content


def _tag(content: bytes, purpose: bytes) -> bytes:
    digest = hmac.new(_key(), len(purpose).to_bytes(8, "big") + purpose, hashlib.sha256)
    digest.update(content)
    return digest.digest()


def _key() -> bytes:
    """The user's key, made at the first use, readable for the user only; at no moment is there a part of one."""
    path = key_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with _draft_of(path, secrets.token_bytes(_KEY_BYTES), 0o600) as draft, suppress(FileExistsError):
            os.link(draft, path)  # unlike a rename it leaves the key of another process
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise ForeignFile(f"{path} is no key: delete it")
    return key


@contextmanager
def _draft_of(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """A new file beside a path, of a name that nobody can have prepared a link for; gone behind the block."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield draft
    finally:
        draft.unlink(missing_ok=True)
