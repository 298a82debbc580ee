"""``python -m eng.compat SCRIPT.py args…``, ``-m MODULE args…``, ``-c CODE`` and ``COMMAND args…`` run under the alias."""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from eng.compat import install

_CALL = "python -m eng.compat"
USAGE = f"usage: {_CALL} SCRIPT.py [ARG ...]\n       {_CALL} -m MODULE [ARG ...]\n       {_CALL} [-c CODE | -] [ARG ...]\n       {_CALL} COMMAND [ARG ...]"


def main() -> int:
    """Runs a Python script, a module or another program, in which ``import mmengine`` imports eng.

    Returns:
        The exit status: 2 if the command line is empty or names neither a file nor a program, 1 after an uncaught
        exception, else 0.
    """
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help") or arguments == ["-m"]:
        sys.stderr.write(f"{USAGE}\n")
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    install()
    if arguments[0] == "-m":
        return _shows_errors_of(_run_module, arguments[1:])
    if arguments[0].startswith("-"):  # Other options belong to Python itself: -c CODE, - for standard input, -u FILE.
        _run_program(sys.executable, [sys.executable, *arguments])
    script, program = Path(arguments[0]), shutil.which(arguments[0], path=_search_path())
    if script.exists() and (script.suffix == ".py" or program is None):
        return _shows_errors_of(_run_script, arguments)
    if program is not None:
        _run_program(program, arguments)
    sys.stderr.write(f"{_CALL}: there is no file and no command {arguments[0]!r}\n{USAGE}\n")
    return 2


def _run_module(arguments: list[str]) -> None:
    """Runs a module as ``python -m`` does; `arguments` are its name and its command-line arguments."""
    sys.argv = arguments
    sys.path.insert(0, "")
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _run_script(arguments: list[str]) -> None:
    """Runs a script as ``python SCRIPT.py`` does; `arguments` are its path and its command-line arguments."""
    sys.argv = arguments
    sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
    runpy.run_path(arguments[0], run_name="__main__")


def _shows_errors_of(run: Callable[[list[str]], None], arguments: list[str]) -> int:
    """Runs a script or module and returns its exit status; tracebacks start at the first line of the script.

    Frames of eng-compat and runpy, which run the script, are left out.
    """
    try:
        run(arguments)
    except Exception as error:
        frames = error.__traceback__
        while frames is not None and _starts_the_script(frames.tb_frame):
            frames = frames.tb_next
        if frames is None:  # No line of the script has run: it contains a syntax error, or the module does not exist.
            raise
        sys.excepthook(type(error), error.with_traceback(frames), frames)
        return 1
    return 0


def _starts_the_script(frame: FrameType) -> bool:
    """Whether a stack frame belongs to the code that runs the script: this module, or Python's module runpy."""
    return frame.f_code.co_filename == __file__ or frame.f_globals.get("__name__") == "runpy"


def _run_program(program: str, arguments: list[str]) -> NoReturn:
    """Replaces this process by a program (exec), which therefore receives signals directly.

    The folder of this Python interpreter is put first on PATH, so that the program uses the `python` and `torchrun` of
    the same environment.
    """
    os.execve(program, arguments, {**os.environ, "PATH": _search_path()})  # noqa: S606  # the program is started without a shell


def _search_path() -> str:
    return os.pathsep.join(filter(None, (str(Path(sys.executable).parent), os.environ.get("PATH"))))


if __name__ == "__main__":
    sys.exit(main())
