"""Writes the passport of a run: a JSON file in the timestamped subfolder of one launch, before the first iteration."""

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
# Beginnings of the names of environment variables that influence results or speed and never contain a secret.
_HARMLESS = re.compile(
    r"(CUDA|NCCL|OMP|MKL|KMP|OPENBLAS|TORCH|PYTORCH|CUBLAS|TF32|NVIDIA_TF32|PYTHONHASHSEED|WORLD_SIZE|RANK|LOCAL_RANK)"
)
_NUMBER = re.compile(r"[-+:,.\w]{0,32}\Z")


def packages() -> list[str]:
    """Lists ``name==version`` of all installed packages.

    Names and versions come from the names of the ``.dist-info`` folders, which is fast because no file is read.
    """
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
    """Returns the names of all environment variables, and the values of those that influence results or speed.

    A value is left out if it could be a secret or is longer than 32 characters.
    """
    values = {
        name: value
        for name, value in os.environ.items()
        if _HARMLESS.match(name) and not is_secret(name) and _NUMBER.match(value)
    }
    return {"names": sorted(os.environ), "values": values}


class Passport:
    """Writes the record of one launch of a run and, at the end of the run, how the run ended.

    Args:
        folder: timestamped subfolder of this launch in the work dir.
        code: git revision and uncommitted changes of the project.
    """

    def __init__(self, folder: str | Path, code: CodeVersion) -> None:
        self.folder = Path(folder)
        self.code = code
        self._began = time.time()

    def write(
        self, action: str, facts: Mapping[str, Any], cfg: Config, seeds: Mapping[str, Any], parent: object
    ) -> None:
        """Writes ``passport.json``, ``code.diff`` (uncommitted changes of the project) and ``run_config.py``.

        Files that cannot be written, such as on a full disk, are left out without an error.

        Args:
            action: what the run does: ``"train"``, ``"val"`` or ``"test"``.
            facts: result of :func:`eng.runner.passport.run_facts`.
            cfg: the complete config.
            seeds: the seed and the other settings in the Runner's argument ``randomness``.
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
        """Writes the config with masked secrets as ``run_config.py``; writes no file if the config has no text form."""
        path = self.folder / CONFIG
        try:
            cfg.dump(str(path))
            path.write_text(masked(path.read_text(encoding="utf-8")), encoding="utf-8")
        except (TypeError, ValueError, OSError):  # The config contains objects without text form, or the disk is full.
            path.unlink(missing_ok=True)

    def end(self, status: str, facts: Mapping[str, Any]) -> None:
        """Writes ``end.json``: the status of the ended run, its duration in seconds, and its counters and metrics.

        Args:
            status: ``"done"``, ``"interrupted"`` or ``"failed"``.
            facts: counters, metrics and last checkpoint, see :func:`eng.runner.passport.ending.ending`.
        """
        record = {"status": status, "duration_s": round(time.time() - self._began, 3), **facts}
        self._put(END, masked(json.dumps(record, indent=1, default=str)))

    def _put(self, name: str, text: str) -> None:
        """Writes a file into the folder of this launch; ignores errors, because a run continues without its record."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            return


def sources(code: Mapping[str, Any]) -> dict[str, str]:
    """Returns the absolute paths of the source files whose digests are recorded, by the names of their modules."""
    names = [key.removeprefix(FILE) for key in code if key.startswith(FILE)]
    return {name: str(Path(sys.modules[name].__file__ or "").absolute()) for name in names if name in sys.modules}


def origins(cfg: Config, keys: Mapping[str, Any]) -> dict[str, str]:
    """Returns the file and line at which each key of a config was set.

    Keys are left out if the config does not know where they were set.

    Args:
        cfg: the config.
        keys: mapping whose keys are the dotted keys of the config.
    """
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
    """Returns the entry of a nested config with this key (or list index as text); None if there is no such entry."""
    if isinstance(node, (list, tuple)):
        if name.isdigit() and int(name) < len(node):
            return node[int(name)]
        return None
    try:
        return node[name]
    except (KeyError, TypeError, AttributeError):
        return None
