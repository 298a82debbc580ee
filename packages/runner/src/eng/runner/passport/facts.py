"""Collects and compares the recorded facts of runs: config, code, data, world size and versions of libraries."""

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

# Settings that always differ between a run and the run that resumes it, so that they are not compared.
_OF_THE_START = frozenset({"resume", "load_from", "cfg", "experiment_name"})
_LIBRARIES = ("numpy", "torchvision", "timm", "transformers", "mmcv", "mmcv-lite", "eng-runner")
FILE = "file "
"""Prefix of a source file's key in the facts of the code; the name of its module follows."""


def run_facts(cfg: Any, settings: Mapping[str, Any], parts: Sequence[Any], dataloader: object, code: CodeVersion, world_size: int) -> dict[str, Any]:  # fmt: skip
    """Returns the facts of a run that are recorded in its checkpoints and its passport.

    Args:
        cfg: the complete config of the run; if it is empty, ``settings`` are recorded instead.
        settings: the Runner's arguments by name.
        parts: objects of the run, such as model and dataset; digests of their source files are recorded.
        dataloader: the training dataloader, whose dataset is fingerprinted.
        code: git revision and uncommitted changes of the project.
        world_size: number of processes.

    Returns:
        A dict with the keys ``config`` (values as texts by dotted key, secrets masked), ``code``, ``data``,
        ``world_size`` and ``versions``.
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
    """Maps ``"file <module>"`` to the digest of each module's source file; files that cannot be read are left out."""
    digests = {name: file_digest(path) for name, path in files.items()}
    return {f"{FILE}{name}": text for name, text in digests.items() if text is not None}


def flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields the leaves of nested settings as pairs of a dotted key and the value as text.

    The text of an object is the name of its class, because ``repr`` of an object may contain a memory address.

    Args:
        value: dict, list or other value of a config.
        path: dotted key of the value; empty for the complete config.
    """
    if isinstance(value, dict) and value:  # Not every Mapping: os.environ is one too, and must not be recorded.
        for key in value:
            yield from flat(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list, tuple)) for item in value):
        for number, item in enumerate(value):
            yield from flat(item, f"{path}.{number}")
    else:
        yield path, _text(value)


def _text(value: object) -> str:
    """Returns a setting as text that is equal in each process: a plain value as Python code, an object as its class."""
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
    """Returns the facts that differ between two runs as ``(section, key, value before, value now)``.

    If a run lacks a fact, its value is ``"absent"``. Three kinds of facts are not compared: a section that one of the
    runs did not record, a source file that one of the runs did not import, and fingerprints of data that different
    versions of the algorithm computed.
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
    """Returns a value if it is a mapping, otherwise an empty mapping: the file it was read from may be damaged."""
    if isinstance(value, Mapping):
        return value
    return {}


def _is_comparable(section: str, key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a difference in this key tells something: both runs recorded the fact, and by the same algorithm."""
    if section == "code" and key.startswith(FILE):
        return key in old and key in new
    if section == "data":
        return key not in ("scheme", "unknown") and (key != "fingerprint" or old.get("scheme") == new.get("scheme"))
    return True


def unknown_lines(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Returns a line of text for each reason why the datasets of two runs cannot be compared.

    The list is empty if the fingerprints cover the complete data of both runs.

    Args:
        before: facts of the earlier run, see :func:`run_facts`.
        now: facts of the later run.
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
