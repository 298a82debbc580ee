"""A cache of downloaded files: one file per address, which is downloaded again if it has changed on the server."""

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
# Some servers answer urllib's default user agent, "Python-urllib/3.x", with an error, so another one is sent.
_HEADERS = {"User-Agent": "torch.hub"}
_MB = 1_000_000
_BLOCK_BYTES = 1 << 17
# File names of published weights end in the first digits of the SHA-256 of the file (as in resnet50-0676ba61.pth). A
# downloaded file is compared with these digits.
_CONTENT_HASH = re.compile(r"-([0-9a-f]{8,})\.\w+$")


def downloaded(url: str, folder: Path, progress: bool) -> Path:
    """Downloads a file unless the cache holds its newest version, and returns the path of the file in the cache.

    If the file name ends in a hash of the content, a cached file of that name is used without asking the server. Any
    other file is cached in a folder named by a hash of the address, beside a JSON file with the version (ETag, time of
    the last change, size) that the server reported; the file is downloaded again if the server reports another version.

    Args:
        url: address of the file.
        folder: folder of the cache.
        progress: whether to show a progress bar on a terminal.

    Raises:
        OSError: the file is not in the cache and cannot be downloaded.
        RuntimeError: the content does not match the hash in the file name.
        ValueError: the address does not end in a file name.
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
    """Returns the file name at the end of an address, under which the download is stored in the cache.

    A name that would lead out of the cache's folder, for example by the escapes ``..%2F``, is refused or shortened.

    Raises:
        ValueError: the address does not end in a file name.
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name or "index"
    if name == ".." or "\\" in name or "\0" in name:
        raise ValueError(f"{url}: the address ends in {name!r}, which cannot be the name of a file in the cache")
    return name


def _fetch(url: str, target: Path, content_hash: str | None, progress: bool) -> None:
    """Downloads a file to `target` atomically: if the download is interrupted, no file named `target` exists.

    Raises:
        OSError: the connection ended before the file was complete.
        RuntimeError: the SHA-256 of the file does not begin with `content_hash`.
    """
    request = urllib.request.Request(url, headers=_HEADERS)  # noqa: S310  # the scheme is http or https
    with urllib.request.urlopen(request, timeout=_SILENCE_S) as answer, atomic_write(target) as file:  # noqa: S310
        size = int(answer.headers.get("Content-Length") or 0)
        received, digest = _copy(answer, file, size, f"download {target.name}", progress)
        if size and received != size:
            raise OSError(f"{url}: the connection ended after {received} of {size} bytes")
        if content_hash is not None and not digest.startswith(content_hash):
            raise RuntimeError(f"{url}: invalid hash value (expected {content_hash!r}, got {digest!r})")


def _copy(source: IO[bytes], file: IO[bytes], size: int, title: str, progress: bool) -> tuple[int, str]:
    """Copies a download into a file, and returns the number of bytes and their SHA-256.

    Args:
        source: the answer of the server.
        file: the file, open for writing.
        size: size of the download in bytes, for the progress bar; 0 if the server did not report it.
        title: text beside the progress bar.
        progress: whether to show a progress bar.
    """
    digest = hashlib.sha256()
    received = 0
    bar = None
    if progress:
        bar = open_bar(title, -(-size // _MB) or None, unit="MB", delay_seconds=LONG_LOAD_S)
    with bar or contextlib.nullcontext():
        while block := source.read(_BLOCK_BYTES):
            file.write(block)
            digest.update(block)
            received += len(block)
            if bar is not None:
                bar.update(received // _MB)
    return received, digest.hexdigest()


def _version(url: str) -> dict[str, str | None] | None:
    """Asks the server for the version of a file (ETag, time of the last change, size), without downloading the file.

    None is returned if the server does not answer.
    """
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
