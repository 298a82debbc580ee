"""Loads every config below some folders and prints, as JSON, what became of each and how long all took.

    python load_configs.py eng|mmengine FOLDER...

The content of a config is given by a digest of its plain values, so that two engines can be compared.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path


def text_of(value) -> str:
    """A value as text that does not depend on the engine: lazy objects by what they name."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {text_of(value[key])}" for key in sorted(value, key=str)) + "}"
    if isinstance(value, (list, tuple)):
        return type(value).__name__ + "[" + ", ".join(map(text_of, value)) + "]"
    if hasattr(value, "dump_str"):
        return value.dump_str
    if isinstance(value, type) or callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


def main() -> None:
    engine, *folders = sys.argv[1:]
    if engine == "eng":
        from eng.config import Config
    else:
        from mmengine.config import Config
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    digests, failures = {}, {}
    start = time.perf_counter()
    loaded = {}
    for path in files:
        try:
            loaded[path] = Config.fromfile(str(path))
        except Exception as error:
            failures[str(path)] = f"{type(error).__name__}: {str(error)[:200]}"
    seconds = time.perf_counter() - start
    for path, cfg in loaded.items():
        plain = cfg.to_dict() if hasattr(cfg, "to_dict") else cfg._cfg_dict.to_dict()
        digests[str(path)] = hashlib.sha256(text_of(plain).encode()).hexdigest()[:16]
    print(json.dumps({"seconds": seconds, "digests": digests, "failures": failures}))


if __name__ == "__main__":
    main()
