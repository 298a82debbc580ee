"""Masks secrets, such as passwords and API keys, in the texts that a run writes to files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

__all__ = ["HIDDEN", "is_secret", "is_secret_setting", "masked", "masked_settings", "masked_words"]

HIDDEN = "***"

_SECRET = re.compile(
    r"(TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|APIKEY|AUTH|COOKIE|PRIVATE)|(^|_)(KEY|PWD|PASS|PAT)($|_)", re.IGNORECASE
)
_HARMLESS_NAMES = frozenset({"PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY"})
# Names of settings are matched more strictly than names of environment variables, because the settings `pad_token`,
# `max_tokens` and `sort_key` are harmless.
_SETTING = (
    r"(?:[\w.-]*?(?:(?:api|access|auth|secret|private|account|encryption|signing)[_-]?key(?:[_-]id)?|passw(?:or)?d"
    r"|passphrase|credentials?|secret|signature|authorization"
    r"|(?:api|access|auth|bearer|hf|hub|refresh|github|gitlab|wandb|id|session|security|bot)[_-]?token))|(?:-*|[\w.-]*\.)token|[\w.-]*?[._-]pwd"
)
_SETTING_NAME = re.compile(rf"(?:{_SETTING})\Z", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?P<head>(?<![\w.-])(?:{_SETTING})[\"']?\s*(?:=|:(?!//))\s*)"
    r"(?:(?P<quote>[\"'])(?P<text>(?:\\.|(?!(?P=quote)).)*)(?P=quote)|(?P<bare>[^\s,;&\"'(){}\[\]#]+))",
    re.IGNORECASE,
)
_NOT_A_VALUE = re.compile(
    r"(None|True|False|null|true|false|str|Bearer|Basic|\$.*|self\..*|os\..*|args\..*|cfg\..*|config\..*)\Z"
)
_USER_IN_ADDRESS = re.compile(r"(?<=://)(?!(?:git|hg|svn|\*\*\*)@)[^/\s\"'<>]+(?=@)")
_BEARER = re.compile(r"(?<=\b[Bb]earer )[\w.~+/=-]{8,}|(?<=\b[Bb]asic )[\w+/=-]{12,}")
_KNOWN_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|sk-[\w-]{20,}|pypi-[\w-]{20,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,}|xox[abprs]-[\w-]{10,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})"
)
_SHORTEST = 4


def masked(text: str) -> str:
    """Returns a text with its secrets replaced.

    Values of secret environment variables are replaced by ``${NAME}``. Users and passwords in addresses, values of
    settings and query parameters such as ``api_key=...``, and tokens of a known form are replaced by ``***``.

    Example:
        >>> masked("git clone https://me:pw@host/x; --tracker.api_key=abc")
        'git clone https://***@host/x; --tracker.api_key=***'
    """
    for name, value in _secret_values():
        text = text.replace(value, f"${{{name}}}")
    text = _USER_IN_ADDRESS.sub(HIDDEN, text)
    text = _ASSIGNED.sub(_without_value, _BEARER.sub(HIDDEN, text))
    return _KNOWN_TOKENS.sub(HIDDEN, text)


def masked_words(arguments: Sequence[str]) -> list[str]:
    """Masks the arguments of a command; the argument after an option such as ``--password`` is a secret too.

    Example:
        >>> masked_words(["train.py", "--api-key", "abc", "--lr", "0.1"])
        ['train.py', '--api-key', '***', '--lr', '0.1']
    """
    harmless, follows_secret_option = [], False
    for argument in arguments:
        is_option = argument.startswith("-")
        if follows_secret_option and not is_option:
            harmless.append(HIDDEN)
        else:
            harmless.append(masked(argument))
        follows_secret_option = is_option and is_secret_setting(argument.lstrip("-"))
    return harmless


def masked_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """Masks the secrets in a mapping from dotted keys to values as text.

    A value is masked completely if its key names a secret; in other values, texts with the form of a secret are masked.
    """
    harmless = {}
    for key, value in settings.items():
        harmless[key] = masked(value)
        if is_secret_setting(key) and _is_text(value):
            harmless[key] = repr(HIDDEN)
    return harmless


def is_secret(name: str) -> bool:
    """Whether the name of an environment variable, such as ``HF_TOKEN``, shows that its value is a secret."""
    return name not in _HARMLESS_NAMES and _SECRET.search(name) is not None


def is_secret_setting(name: str) -> bool:
    """Whether the dotted name of a setting shows that its value is a secret.

    Example:
        >>> is_secret_setting("tracker.init_kwargs.api_key"), is_secret_setting("model.pad_token_id")
        (True, False)
    """
    return _SETTING_NAME.match(name) is not None


def _secret_values() -> Iterator[tuple[str, str]]:
    """Yields names and values of secret environment variables, longest values first.

    Each value is yielded in all forms in which it may appear in a file: plain, and escaped as in JSON, Python and URLs.
    Values of fewer than four characters are left out.
    """
    secrets = [(name, value) for name, value in os.environ.items() if len(value) >= _SHORTEST and is_secret(name)]
    for name, value in sorted(secrets, key=lambda pair: -len(pair[1])):
        forms = (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
        for form in dict.fromkeys((*forms, quote(value, safe="", errors="replace"))):
            yield name, form


def _without_value(match: re.Match[str]) -> str:
    """Returns an assignment such as ``api_key=abc`` with ``***`` as value; unchanged if the value can be no secret."""
    if match["quote"]:
        value = match["text"]
    else:
        value = match["bare"]
    if not value or value == HIDDEN or _NOT_A_VALUE.match(value):
        return match[0]
    mark = match["quote"] or ""
    return f"{match['head']}{mark}{HIDDEN}{mark}"


def _is_text(value: str) -> bool:
    """Whether a value, given as Python code, is a string literal that is not empty."""
    return value[:1] in ("'", '"') and len(value) > 2
