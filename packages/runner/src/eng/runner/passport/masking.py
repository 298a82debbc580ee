"""Secrets of the environment, taken out of what a run writes."""

from __future__ import annotations

import os
import re

_SECRET = re.compile(
    r"(TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|APIKEY|AUTH|COOKIE|PRIVATE)|(^|_)(KEY|PWD|PASS|PAT)($|_)", re.IGNORECASE
)
_HARMLESS_NAMES = frozenset({"PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY"})
_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)")


def masked(text: str) -> str:
    """The text with each secret of the environment replaced by ``${NAME}``, and passwords in addresses by ``***``.

    A variable is a secret by its name: TOKEN, KEY, SECRET, PASSWORD and the like.
    """
    secrets = [(name, value) for name, value in os.environ.items() if len(value) >= 4 and is_secret(name)]
    for name, value in sorted(secrets, key=lambda pair: -len(pair[1])):
        text = text.replace(value, f"${{{name}}}")
    return _IN_ADDRESS.sub("***", text)


def is_secret(name: str) -> bool:
    """Whether a variable is a secret by its name."""
    return name not in _HARMLESS_NAMES and _SECRET.search(name) is not None
