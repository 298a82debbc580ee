"""Writes the passport of a start: a JSON file in its folder, written before the first training step."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eng.config import Config, ConfigDict
from eng.logging.process import start_of
from eng.logging.starts import PASSPORT

from .code import CodeVersion
from .facts import FILE
from .masking import is_secret, masked, masked_words

__all__ = ["CONFIG", "DIFF", "END", "PASSPORT", "Passport", "masked", "packages"]

END, DIFF, CONFIG = "end.json", "code.diff", "run_config.py"
# Environment variables that influence results or speed and never hold a secret.
_HARMLESS = re.compile(
    r"(CUDA|NCCL|OMP|MKL|KMP|OPENBLAS|TORCH|PYTORCH|CUBLAS|TF32|NVIDIA_TF32|PYTHONHASHSEED|WORLD_SIZE|RANK|LOCAL_RANK)"
)
_NUMBER = re.compile(r"[-+:,.\w]{0,32}\Z")


def packages() -> list[str]:
    """Lists ``name==version`` of all installed packages from the names of their folders, which is fast: no file is read."""
    names = set()
    for folder in sys.path:
        try:
            entries = [path.name for path in Path(folder or ".").iterdir()]
        except OSError:
            continue
        for entry in entries:
            if entry.endswith(".dist-info") and "-" in entry:
                names.add("==".join(entry.removesuffix(".dist-info").rsplit("-", 1)))
    return sorted(names, key=str.lower)


def environment() -> dict[str, Any]:
    """Returns the names of all environment variables, and harmless values of those that influence results or speed."""
    values = {
        name: value
        for name, value in os.environ.items()
        if _HARMLESS.match(name) and not is_secret(name) and _NUMBER.match(value)
    }
    return {"names": sorted(os.environ), "values": values}


class Passport:
    """Writes the record of a start and, later, how the start ended.

    Args:
        folder: folder of the start.
        code: version of the project's code.
    """

    def __init__(self, folder: str | Path, code: CodeVersion) -> None:
        self.folder = Path(folder)
        self.code = code
        self._began = time.time()

    def write(
        self, action: str, facts: Mapping[str, Any], cfg: Config, seeds: Mapping[str, Any], parent: object
    ) -> None:
        """Writes ``passport.json``, the project's uncommitted changes and the config; a full disk does not stop the run.

        Args:
            action: ``"train"``, ``"val"`` or ``"test"``.
            facts: result of :func:`eng.runner.passport.run_facts`.
            cfg: the complete config.
            seeds: ``seed`` and the other settings of randomness.
            parent: checkpoint and name of the run from which this run was resumed; None for a new run.
        """
        self._began = time.time()
        record = {
            "format": 1,
            "action": action,
            "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "command": masked_words(sys.orig_argv),
            "folder": str(Path.cwd()),
            "config_file": cfg.filename,
            "code_folder": str(self.code.folder) if self.code.folder else None,
            "sources": sources(facts.get("code", {})),
            "origins": origins(cfg, facts.get("config", {})),
            "packages": packages(),
            "environment": environment(),
            "seeds": dict(seeds),
            "host": {
                "name": platform.node(),
                "system": platform.platform(),
                "cpus": os.cpu_count(),
                "pid": os.getpid(),
                "started": start_of(os.getpid()),
            },
            "parent": parent,
            **facts,
        }
        self._put(PASSPORT, masked(json.dumps(record, indent=1, default=str)))
        if self.code.diff:
            self._put(DIFF, masked(self.code.diff))
        if len(cfg):
            self._put_config(cfg)

    def _put_config(self, cfg: Config) -> None:
        path = self.folder / CONFIG
        try:
            cfg.dump(str(path))
            path.write_text(masked(path.read_text(encoding="utf-8")), encoding="utf-8")
        except (TypeError, ValueError, OSError):  # it holds objects that have no text, or the disk is full
            path.unlink(missing_ok=True)

    def end(self, status: str, facts: Mapping[str, Any]) -> None:
        """Writes ``end.json``: the status, how long the start took, and what it reached."""
        record = {"status": status, "duration_s": round(time.time() - self._began, 3), **facts}
        self._put(END, masked(json.dumps(record, indent=1, default=str)))

    def _put(self, name: str, text: str) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            return


def sources(code: Mapping[str, Any]) -> dict[str, str]:
    """The paths of the source files among the facts of the code, by the name of their module."""
    names = [key.removeprefix(FILE) for key in code if key.startswith(FILE)]
    return {name: str(Path(sys.modules[name].__file__ or "").absolute()) for name in names if name in sys.modules}


def origins(cfg: Config, keys: Mapping[str, Any]) -> dict[str, str]:
    """Returns file and line at which each key of a config was set, for the keys of which the config knows them."""
    by_key = {}
    for key in keys:
        *folders, last = key.split(".")
        node: Any = cfg
        for name in folders:
            node = _step(node, name)
        if not isinstance(node, (Config, ConfigDict)):
            continue
        origin = node.__where__(last)
        if origin is not None:
            by_key[key] = origin
    return by_key


def _step(node: Any, name: str) -> Any:
    if isinstance(node, (list, tuple)):
        if name.isdigit() and int(name) < len(node):
            return node[int(name)]
        return None
    try:
        return node[name]
    except (KeyError, TypeError, AttributeError):
        return None
