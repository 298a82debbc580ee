"""Collects and compares the facts of runs: config, code, data, world size and versions."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from .code import CodeVersion, file_digest, source_files
from .data import data_facts
from .masking import masked_settings

# Settings that always differ between a run and its resume, and so are not compared.
_OF_THE_START = frozenset({"resume", "load_from", "cfg", "experiment_name"})
_LIBRARIES = ("numpy", "torchvision", "timm", "transformers", "mmcv", "mmcv-lite", "eng-runner")
FILE = "file "
"""Prefix of a source file's key in the facts of the code; the name of its module follows."""


def run_facts(cfg: Any, settings: Mapping[str, Any], parts: Sequence[Any], dataloader: object, code: CodeVersion, world_size: int) -> dict[str, Any]:  # fmt: skip
    """Returns the facts of a run that checkpoints and passports record.

    Args:
        cfg: the complete config; if it is empty, ``settings`` are recorded.
        settings: the Runner's arguments.
        parts: objects, such as model and dataset, whose source files are part of the run's code.
        dataloader: the training dataloader.
        code: version of the project's code.
        world_size: number of processes.

    Returns:
        ``config`` (texts by dotted key), ``code``, ``data``, ``world_size`` and ``versions``.
    """
    if len(cfg):
        source = cfg
    else:
        source = {name: value for name, value in settings.items() if value is not None}
    top = {key: source[key] for key in source if key not in _OF_THE_START}
    return {
        "config": masked_settings(dict(flat(top))),
        "code": {**code.as_facts(), **_file_facts(source_files(parts, code.folder))},
        "data": data_facts(dataloader),
        "world_size": world_size,
        "versions": versions(),
    }


def _file_facts(files: Mapping[str, Path]) -> dict[str, str]:
    digests = {name: file_digest(path) for name, path in files.items()}
    return {f"{FILE}{name}": text for name, text in digests.items() if text is not None}


def flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields the leaves of a nested setting as pairs of dotted key and text; the text of an object is its class."""
    if isinstance(value, dict) and value:  # Not every Mapping: os.environ is one too, and must not be recorded.
        for key in value:
            yield from flat(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list, tuple)) for item in value):
        for number, item in enumerate(value):
            yield from flat(item, f"{path}.{number}")
    else:
        yield path, _text(value)


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_text(item) for item in value)}]"
    if isinstance(value, (str, bytes, int, float, complex, type(None))) or value == {}:
        return repr(value)
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def versions() -> dict[str, str]:
    """Returns the versions of Python, torch and the installed libraries that influence the results of a run."""
    by_name = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for name in _LIBRARIES:
        try:
            by_name[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if torch.version.cuda:
        by_name["cuda"] = torch.version.cuda
    return by_name


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Returns the facts that differ as ``(section, key, before, now)``; ``"absent"`` if a run lacks the fact.

    Not compared are a section that one of the runs did not record, a source file that one of them did not import, and
    fingerprints of data by different algorithms.
    """
    rows: list[tuple[str, str, str, str]] = []
    for section in ("config", "code", "data", "versions"):
        old, new = before.get(section), now.get(section)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            rows += (row for row in changed_rows(section, old, new) if _is_comparable(section, row[1], old, new))
    if before.get("world_size", now.get("world_size")) != now.get("world_size"):
        rows.append(("world_size", "world_size", str(before["world_size"]), str(now.get("world_size"))))
    return rows


def changed_rows(section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yields the entries in which two mappings differ, as ``(section, key, old, new)``."""
    for key in dict.fromkeys((*old, *new)):
        first, second = str(old.get(key, "absent")), str(new.get(key, "absent"))
        if first != second:  # Compared as text, because NaN is not equal to itself.
            yield section, str(key), first, second


def as_mapping(value: object) -> Mapping[str, Any]:
    """Returns a value from a file if it is a mapping, else an empty mapping: the file may be damaged."""
    if isinstance(value, Mapping):
        return value
    return {}


def _is_comparable(section: str, key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if section == "code" and key.startswith(FILE):
        return key in old and key in new
    if section == "data":
        return key not in ("scheme", "unknown") and (key != "fingerprint" or old.get("scheme") == new.get("scheme"))
    return True


def unknown_lines(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns lines about the data of two runs that cannot be compared.

    Args:
        before: facts of one run.
        now: facts of another run.
    """
    old, new = (as_mapping(facts.get("data")) for facts in (before, now))
    lines = []
    if old and new and old.get("scheme") != new.get("scheme"):
        lines.append(
            "data, fingerprint: unknown whether the data are the same, as another version of eng-runner recorded them"
        )
    names = sorted({*(old.get("unknown") or ()), *(new.get("unknown") or ())})
    if names:
        lines.append(
            f"data, samples of {', '.join(names)}: unknown whether they are the same, as they are known only when they are read"
        )
    return lines
