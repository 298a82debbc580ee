"""The facts by which two runs are compared: config, code, data, processes and versions."""

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

# These settings differ between a run and its resume by design.
_OF_THE_START = frozenset({"resume", "load_from", "cfg", "experiment_name"})
_LIBRARIES = ("numpy", "torchvision", "timm", "transformers", "mmcv", "mmcv-lite", "eng-runner")
FILE = "file "
"""Begins the key of a source file among the facts of the code; the name of its module follows."""


def run_facts(cfg: Any, settings: Mapping[str, Any], parts: Sequence[Any], dataloader: Any, code: CodeVersion, world_size: int) -> dict[str, Any]:  # fmt: skip
    """What a checkpoint and a passport keep of a run to compare it with another one.

    Args:
        cfg: the whole config; the settings count where it is empty.
        settings: the Runner's arguments.
        parts: objects whose classes' source files count as code of the run.
        dataloader: of the training, built.
        code: version of the project.
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
    """The leaves of a nested setting by dotted key, as text; an object is named by its class."""
    if isinstance(value, dict) and value:  # os.environ is a mapping too, and none of these
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
    """Versions of Python, torch and the libraries that decide the numbers of a run, those that are installed."""
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
    """The facts that differ, as ``(section, key, before, now)``; "absent" stands for a fact that only one run has.

    Left out are a section that one of the runs did not record at all, a source file that one of them did not import, and
    what cannot be compared: fingerprints of data that were taken in two ways.
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
    """The entries in which two mappings differ, as :func:`differing` gives them."""
    for key in dict.fromkeys((*old, *new)):
        first, second = str(old.get(key, "absent")), str(new.get(key, "absent"))
        if first != second:  # compared as text: NaN is not equal to itself
            yield section, str(key), first, second


def as_mapping(value: object) -> Mapping[str, Any]:
    """A mapping that was read from a file; an empty one where something else stands there."""
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
    """Lines about what cannot be compared of the data of two runs.

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
