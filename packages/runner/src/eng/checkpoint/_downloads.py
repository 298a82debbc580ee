"""Files of the web in a cache: one per address, and fetched again where the server's file has changed."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

import torch

logger = logging.getLogger(__name__)

_ASK_S = 10.0
# Names of published weights end in the first digits of their SHA-256, which the download is held against.
_CONTENT_HASH = re.compile(r"-([0-9a-f]{8,})\.\w+$")


def downloaded(url: str, folder: Path, progress: bool) -> Path:
    """The file behind an address, from the cache where it is there and the server has no other version.

    A name that ends in a hash of its content is the file's key: such a file is never asked for again. Any other file lies
    in a folder of its address, beside a note of the version (ETag, time of the last change, size) that was fetched.

    Args:
        url: where it is.
        folder: of the cache.
        progress: show a bar.

    Raises:
        OSError: it is not in the cache and cannot be fetched.
    """
    name = unquote(Path(urlsplit(url).path).name) or "index"
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


def _fetch(url: str, target: Path, content_hash: str | None, progress: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(target), content_hash, progress=progress)


def _version(url: str) -> dict[str, str | None] | None:
    """What the server says of its file without sending it; None where it does not answer that question."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  # the scheme is http or https
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
