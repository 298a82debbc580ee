"""``python -m eng.compat SCRIPT.py args…`` and ``python -m eng.compat -m MODULE args…`` run under the alias."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from eng.compat import install

USAGE = "usage: python -m eng.compat SCRIPT.py [ARG ...]\n       python -m eng.compat -m MODULE [ARG ...]"


def main() -> int:
    """Runs what the command line names.

    Returns:
        2 where it names nothing or a file that is not there; otherwise what the script does stands.
    """
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help") or arguments == ["-m"]:
        sys.stderr.write(f"{USAGE}\n")
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    install()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path.insert(0, "")
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    script = Path(arguments[0])
    if not script.exists():
        sys.stderr.write(f"python -m eng.compat: there is no file {str(script)!r}\n{USAGE}\n")
        return 2
    sys.argv = arguments
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
