"""Loads configs and prints, as JSON, a digest of the content of each and the seconds of processor time that loading took.

    python -m eng.compat digest_configs.py LIST     under eng
    python digest_configs.py LIST                   under the reference

LIST is a file with a path per line. The digest is taken of plain data in which types and functions stand as dotted
names, so that two engines can be compared.
"""

from __future__ import annotations

import functools
import hashlib
import json
import pickle
import re
import sys
import time
import warnings
from pathlib import Path

from mmengine.config import Config

ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def text_of(value) -> str:
    """A value as text that does not depend on the engine."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {text_of(value[key])}" for key in sorted(value, key=str)) + "}"
    if isinstance(value, (list, tuple)):
        return type(value).__name__ + "[" + ", ".join(map(text_of, value)) + "]"
    if isinstance(value, functools.partial):
        return f"partial({text_of(value.func)}, {text_of(value.args)}, {text_of(value.keywords)})"
    if hasattr(value, "dump_str"):
        return value.dump_str
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    return ADDRESS.sub("", repr(value))


def digest(cfg: Config, path: str) -> str:
    """Digest of the content, in which the folder that the library is installed in has no part."""
    library = re.split(r"/(?:\.mim|configs)/", path)[0]
    text = text_of(cfg.to_dict()).replace(str(Path(library).parent), "")
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def load(path: str) -> tuple[str, float]:
    """Digest of the config and the processor time that loading took; the exception's name where it cannot be loaded.

    Modules of `custom_imports` are not imported: their time is that of the libraries.
    """
    start = time.process_time()
    try:
        cfg = Config.fromfile(path, import_custom_modules=False)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}", time.process_time() - start
    seconds = time.process_time() - start
    return digest(cfg, path), seconds


def kind_of(path: str) -> str:
    """`python` for a config that imports what it names, `text` for one that names its types in strings."""
    source = Path(path).read_text(encoding="utf-8")
    return "python" if re.search(r"^\s*(from|import) ", source, re.MULTILINE) else "text"


def main() -> None:
    warnings.simplefilter("ignore")
    files = Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")
    digests, seconds, unpicklable = {}, {"text": 0.0, "python": 0.0}, {}
    for path in filter(None, files):
        digests[path], duration = load(path)
        seconds[kind_of(path)] += duration
        if "--pickle" in sys.argv and ":" not in digests[path]:
            cfg = Config.fromfile(path)
            try:
                if digest(pickle.loads(pickle.dumps(cfg)), path) != digests[path]:
                    unpicklable[path] = "another content"
            except Exception as error:
                unpicklable[path] = f"{type(error).__name__}: {error}"
    print()
    print(json.dumps({"digests": digests, "seconds": seconds, "unpicklable": unpicklable}))


if __name__ == "__main__":
    main()
