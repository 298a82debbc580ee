"""Finds out how this process was called, and composes commands that its user can type next."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

from eng.hooks.errors import RunInterrupted
from eng.hooks.start_report import short_path
from eng.logging._details import DETAIL

__all__ = ["ORIGINAL_CALL", "command", "eng_words", "log_interruption", "original_words", "resume_hint", "resume_words"]

ORIGINAL_CALL = "ENG_ORIGINAL_CALL"
"""Environment variable with the arguments of the user's ``eng`` command, as JSON, for the processes that it starts."""


def original_words() -> list[str]:
    """Returns the arguments of the user's ``eng`` command, also in a process that ``--nproc`` started."""
    text = os.environ.get(ORIGINAL_CALL)
    if text:
        return list(json.loads(text))
    return sys.argv[1:]


def command(arguments: Sequence[str]) -> str:
    """Composes the command ``eng ARGUMENTS`` so that it works in the user's shell.

    The shell may be in another folder than this process, and may not find the ``eng`` that a nox session has on its
    PATH.
    """
    return _in_folder(_alias_variable() + shlex.join([*eng_words(), *arguments]))


def _alias_variable() -> str:
    """Returns ``ENG_COMPAT=1 `` to put before a command if this process has imported ``mmengine``, else nothing."""
    if "mmengine" in sys.modules:
        return "ENG_COMPAT=1 "
    return ""


def eng_words() -> list[str]:
    """Returns the beginning of a command that starts eng in the user's shell.

    This is ``eng`` if the shell finds the program of this environment, otherwise this process's Python with ``-m
    eng.cli``.
    """
    if "NOX_CURRENT_SESSION" not in os.environ and _is_ours(shutil.which("eng")):
        return ["eng"]
    return [*_python(), "-m", "eng.cli"]


def resume_words(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments of a training command with ``--resume`` at the end, in place of an earlier ``--resume``.

    Example:
        >>> resume_words(["train", "a.py", "--resume", "x.pth", "--amp"])
        ['train', 'a.py', '--amp', '--resume']
    """
    remaining: list[str] = []
    for index, argument in enumerate(arguments):
        if argument == "--resume" or argument.startswith("--resume="):
            continue
        if index and arguments[index - 1] == "--resume" and not argument.startswith("-"):
            continue
        remaining.append(argument)
    return [*remaining, "--resume"]


def resume_hint(work_dir: str, config_file: str | None = None) -> str:
    """Returns the advice how to resume the training of this process.

    Args:
        work_dir: work dir of the run.
        config_file: config file of the run; the advice names it if a command such as ``eng reproduce`` started the run.
    """
    if is_eng():
        arguments = original_words()
        if arguments[:1] != ["train"] and config_file:
            arguments = ["train", short_path(config_file), "--work-dir", short_path(work_dir)]
        lines = [f"  {_launch_eng(resume_words(arguments))}"]
        return "\n".join(["To resume:", *lines, f"(takes the newest intact checkpoint in {work_dir})"])
    advice = f"To resume from the newest intact checkpoint in {work_dir}, set resume=True of the Runner"
    if _is_interactive():
        return f"{advice}."
    return f"{advice} and run:\n  {script()}"


def log_interruption(
    stop: RunInterrupted, work_dir: str, logger: logging.Logger, config_file: str | None = None
) -> None:
    """Logs where a signal or the time budget ended a run, and how to resume it.

    In an ``eng`` command the line goes to the log file only: the command prints the same when it ends.

    Args:
        stop: the exception that ended the run.
        work_dir: work dir of the run.
        logger: logger of the run.
        config_file: config file of the run, see :func:`resume_hint`.
    """
    hint = ""
    if stop.checkpoint:
        hint = f".\n{resume_hint(work_dir, config_file)}"
    extra = None
    if is_eng():
        extra = DETAIL
    logger.warning("%s%s", stop, hint, extra=extra)


def is_eng() -> bool:
    """Whether this process is an ``eng`` command, or a process that such a command started."""
    is_eng_script = bool(sys.argv) and Path(sys.argv[0]).stem == "eng"
    return ORIGINAL_CALL in os.environ or _main_module() == "eng.cli.__main__" or is_eng_script


def script() -> str:
    """Returns the command that started this script, with torchrun if torchrun started its processes."""
    module = _main_module()
    if module:
        program = ["-m", module.removesuffix(".__main__")]
    else:
        program = sys.argv[:1]
    return _launch_python([*program, *sys.argv[1:]])


def _launch_eng(arguments: list[str]) -> str:
    """Composes an ``eng`` command, with torchrun if torchrun started this process."""
    if _is_under_torchrun() and ORIGINAL_CALL not in os.environ:
        return _launch_python(["-m", "eng.cli", *arguments])
    return command(arguments)


def _launch_python(arguments: list[str]) -> str:
    """Composes a command that calls Python with arguments, through torchrun if torchrun started this process.

    In a process that ``eng train --nproc`` started, torchrun is left out, because the ``eng`` command starts it.
    """
    if _is_under_torchrun() and ORIGINAL_CALL not in os.environ:
        count = os.environ.get("LOCAL_WORLD_SIZE", "1")
        return _in_folder(
            shlex.join([*_python(), "-m", "torch.distributed.run", f"--nproc-per-node={count}", *arguments])
        )
    return _in_folder(shlex.join([*_python(), *arguments]))


def _is_interactive() -> bool:
    """Whether this process is a notebook or an interactive Python, which no command can start again."""
    return hasattr(sys, "ps1") or "ipykernel" in sys.modules or sys.argv[:1] in ([""], ["-c"], ["-"], [])


def _python() -> list[str]:
    """Returns ``python`` if the user's shell finds this environment's Python under that name, otherwise its path."""
    path = shutil.which("python")
    if "NOX_CURRENT_SESSION" not in os.environ and _is_ours(path):
        return ["python"]
    return [_short(sys.executable)]


def _is_under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _main_module() -> str | None:
    """Returns the name of the module that ``python -m`` runs; None if this process runs a script or is interactive."""
    # getattr() has a default, because a debugger started with `python -m pdb` removes ``__spec__`` from the module.
    spec: ModuleSpec | None = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is None:
        return None
    return spec.name


def _is_ours(path: str | None) -> bool:
    """Whether a program belongs to the environment of this process."""
    return path is not None and Path(path).absolute().parent == Path(sys.executable).absolute().parent


def _in_folder(text: str) -> str:
    """Puts ``cd FOLDER &&`` before a command if the user's shell is in another folder than this process."""
    here, shell = Path.cwd(), os.environ.get("PWD")
    if shell is None or not Path(shell).is_dir() or Path(shell).samefile(here):
        return text
    return f"cd {shlex.quote(str(here))} && {text}"


def _short(path: str) -> str:
    """Returns a path relative to the current folder if the file is below that folder, otherwise the path itself."""
    relative = os.path.relpath(path)
    if not relative.startswith("..") and os.sep in relative:
        return relative
    return path
