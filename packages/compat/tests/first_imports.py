"""Run with the folder of `_path_entry` on PYTHONPATH: threads import mmengine for the first time at once, 30 times."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading

from eng import compat
from eng.compat import _path_entry

ATTRIBUTES = {"mmengine": "__version__", "mmengine.utils.timer": "Timer", "mmengine.version": "version_info"}
# Of packages that the tests of compat alone do not install.
ATTRIBUTES_OF_NEIGHBOURS = {"config": "Config", "fileio": "load", "registry": "Registry"}
ATTRIBUTES |= {
    f"mmengine.{name}": attribute
    for name, attribute in ATTRIBUTES_OF_NEIGHBOURS.items()
    if importlib.util.find_spec(f"eng.{name}") is not None
}


def import_at_once(failures: list[str]) -> None:
    names = [*ATTRIBUTES, *ATTRIBUTES]
    start = threading.Barrier(len(names))

    def import_one(name: str) -> None:
        start.wait()
        try:
            getattr(importlib.import_module(name), ATTRIBUTES[name])
        except Exception as error:
            failures.append(f"{name}: {error!r}")

    threads = [threading.Thread(target=import_one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    sys.setswitchinterval(1e-6)
    failures: list[str] = []
    for _ in range(30):
        assert not compat.is_installed()
        import_at_once(failures)
        assert compat.is_installed()
        compat.uninstall()
        sys.path.insert(1, _path_entry.FOLDER)  # where Python put it when it started
    print(f"{len(failures)} failures", *sorted(set(failures)), sep="\n")


if __name__ == "__main__":
    main()
