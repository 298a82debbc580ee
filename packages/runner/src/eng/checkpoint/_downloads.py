"""Files of the web in a cache: one per address, and fetched again where the server's file has changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

from eng.fileio import atomic_write
from eng.logging.progress import LONG_LOAD_S, open_bar

logger = logging.getLogger(__name__)

_ASK_S = 10.0
_SILENCE_S = 60.0
# Some servers refuse the name that urllib gives itself.
_HEADERS = {"User-Agent": "torch.hub"}
_MB = 1_000_000
_BLOCK_BYTES = 1 << 17
# Names of published weights end in the first digits of their SHA-256, which the download is held against.
_CONTENT_HASH = re.compile(r"-([0-9a-f]{8,})\.\w+$")


def downloaded(url: str, folder: Path, progress: bool) -> Path:
    """The file behind an address, from the cache where it is there and the server has no other version.

    A name that ends in a hash of its content is the file's key: such a file is never asked for again. Any other file lies
    in a folder of its address, beside a note of the version (ETag, time of the last change, size) that was fetched.

    Args:
        url: where it is.
        folder: of the cache.
        progress: show a bar on a terminal.

    Raises:
        OSError: it is not in the cache and cannot be fetched.
        RuntimeError: it has another content than the hash in its name says.
        ValueError: the address ends in a name that is none of a file.
    """
    name = _file_name(url)
    content_hash = _CONTENT_HASH.search(name)
    if content_hash is not None:
        target = folder / name
        if not target.is_file():
            _fetch(url, target, content_hash.group(1), progress)
        return target
    target = folder / hashlib.sha256(url.encode()).hexdigest()[:16] / name
    note = target.with_name(f"{name}.version.json")
    version = _version(url)
    if target.is_file() and (version is None or _noted(note) == version):
        return target
    if version is None and (folder / name).is_file():
        logger.warning("%s does not answer; %s is used, whatever address it came from", url, folder / name)
        return folder / name
    _fetch(url, target, None, progress)
    note.write_text(json.dumps(version), encoding="utf-8")
    return target


def _file_name(url: str) -> str:
    """The name of the file behind an address: escapes such as ``%2F`` cannot lead out of the cache's folder.

    Raises:
        ValueError: it is no name of a file.
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name or "index"
    if name == ".." or "\\" in name or "\0" in name:
        raise ValueError(f"{url}: the address ends in {name!r}, which cannot be the name of a file in the cache")
    return name


def _fetch(url: str, target: Path, content_hash: str | None, progress: bool) -> None:
    """Downloads a file; what is left of a download that ends early has another name."""
    request = urllib.request.Request(url, headers=_HEADERS)  # noqa: S310  # the scheme is http or https
    with urllib.request.urlopen(request, timeout=_SILENCE_S) as answer, atomic_write(target) as file:  # noqa: S310
        size = int(answer.headers.get("Content-Length") or 0)
        received, digest = _copy(answer, file, size, f"download {target.name}", progress)
        if size and received != size:
            raise OSError(f"{url}: the connection ended after {received} of {size} bytes")
        if content_hash is not None and not digest.startswith(content_hash):
            raise RuntimeError(f"{url}: invalid hash value (expected {content_hash!r}, got {digest!r})")


def _copy(source: IO[bytes], file: IO[bytes], size: int, title: str, progress: bool) -> tuple[int, str]:
    """Copies a stream with a bar in megabytes; the number of bytes and their SHA-256."""
    digest, received = hashlib.sha256(), 0
    bar = open_bar(title, -(-size // _MB) or None, unit="MB", delay_seconds=LONG_LOAD_S) if progress else None
    with bar or contextlib.nullcontext():
        while block := source.read(_BLOCK_BYTES):
            file.write(block)
            digest.update(block)
            received += len(block)
            if bar is not None:
                bar.update(received // _MB)
    return received, digest.hexdigest()


def _version(url: str) -> dict[str, str | None] | None:
    """What the server says of its file without sending it; None where it does not answer that question."""
    request = urllib.request.Request(url, headers=_HEADERS, method="HEAD")  # noqa: S310  # the scheme is http or https
    try:
        with urllib.request.urlopen(request, timeout=_ASK_S) as answer:  # noqa: S310
            return {key: answer.headers.get(key) for key in ("ETag", "Last-Modified", "Content-Length")}
    except (OSError, ValueError) as error:
        logger.debug("%s: %s", url, error)
        return None


def _noted(note: Path) -> object:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
