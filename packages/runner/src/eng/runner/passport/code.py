"""Records the version of a project's code: git revision, uncommitted changes, and digests of source files."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from eng.logging.starts import PASSPORT, read_record

# These options stop git from starting programs that the settings of a repository name: the repository may be untrusted.
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks")
_PATIENCE_S = 20.0
_MOST_FILES = 500
INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
"""Matches paths of installed packages."""
# Glob pattern of the timestamped subfolder of one launch of a run, such as 20260131_120000.
_START = "[0-9]" * 8 + "_" + "[0-9]" * 6
# Untracked files with these suffixes count as code; others are logs, checkpoints and compiled files of runs.
_CODE = frozenset(
    [
        ".py",
        ".pyi",
        ".pyx",
        ".c",
        ".cc",
        ".cpp",
        ".cu",
        ".cuh",
        ".h",
        ".hpp",
        ".sh",
        ".yaml",
        ".yml",
        ".toml",
        ".cfg",
        ".ini",
    ]
)


class CodeVersion:
    """The git revision and the uncommitted changes of a project.

    The constructor starts git in the background; the first access to ``revision`` or ``diff`` waits until git has
    ended.

    Args:
        folder: folder of the project, which contains the config file. If the folder is None or in no git repository,
            the revision is None and the diff is empty.

    Attributes:
        folder: folder of the project.
    """

    def __init__(self, folder: Path | None) -> None:
        self._answers: tuple[str | None, str] | None = None
        self._calls: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
        self.folder = folder
        if folder is None or not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
            self._answers = (None, "")
            return
        diff = ("diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD")
        for arguments in (("rev-parse", "HEAD"), diff, ("ls-files", "--others", "--exclude-standard")):
            self._call(folder, arguments)

    @property
    def revision(self) -> str | None:
        """Hash of the commit that is checked out; None outside of a git repository or if git failed."""
        return self._read()[0]

    @property
    def diff(self) -> str:
        """The names of untracked code files, followed by the uncommitted changes in the format of ``git diff``."""
        return self._read()[1]

    def as_facts(self) -> dict[str, Any]:
        """Returns a dict of the revision and a digest of the diff; the digest is None if there are no changes."""
        facts: dict[str, Any] = {"revision": self.revision, "diff": None}
        if self.diff:
            facts["diff"] = digest(self.diff.encode())
        return facts

    def _call(self, folder: Path, arguments: Iterable[str]) -> None:
        """Starts a git command in a folder without waiting for its end; does nothing if git is not installed."""
        output = tempfile.TemporaryFile()  # noqa: SIM115  # read and closed in _answer; a pipe would block a long diff
        try:
            process = subprocess.Popen(  # noqa: S603  # git, with constant arguments from this file
                [*_GIT, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL
            )
        except OSError:  # git is not installed
            output.close()
            return
        self._calls.append((process, output))

    def _is_of_a_run(self, name: str) -> bool:
        """Whether a file is an output of a run: one of its parent folders has subfolders named by timestamps.

        A work dir has such subfolders, one for each launch. The file ``passport.json`` cannot serve to recognise a work
        dir, because git is called before this run writes its passport.

        Args:
            name: path of the file relative to the project's folder.
        """
        parents = []
        if self.folder:
            parents = [self.folder / parent for parent in Path(name).parents if str(parent) != "."]
        return any(next(parent.glob(_START), None) is not None for parent in parents)

    def _read(self) -> tuple[str | None, str]:
        """Waits for the git commands, and returns the revision and the uncommitted changes; caches both values."""
        if self._answers is None:
            calls, self._calls = self._calls, []
            answers = [_answer(process, output) for process, output in calls]
            if len(answers) == 3:
                revision, diff, unknown = answers
            else:
                revision, diff, unknown = "", "", ""
            code = [name for name in unknown.splitlines() if Path(name).suffix in _CODE and not self._is_of_a_run(name)]
            names = "".join(f"# not in git: {name}\n" for name in code)
            self._answers = (revision.strip() or None, names + diff)
        return self._answers


def _answer(process: subprocess.Popen[bytes], output: IO[bytes]) -> str:
    """Returns the output of a git command; an empty text if git failed or took longer than 20 seconds."""
    with output:
        try:
            status = process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return ""
        output.seek(0)
        if status == 0:
            return output.read().decode("utf-8", "replace")
        return ""


def project_folder(config_file: str | None) -> Path | None:
    """Returns the folder of the config file or, without config file, of the running script; None if there is neither.

    If the config file is the ``run_config.py`` that an earlier run wrote beside its passport, the folder of the config
    file from which that earlier run was launched is returned.
    """
    file = config_file or file_of_module("__main__")
    if not file:
        return None
    folder = Path(file).absolute().parent
    record = read_record(folder / PASSPORT)
    if record.get("folder") and record.get("config_file"):
        recorded = Path(str(record["folder"]), str(record["config_file"])).parent
        if recorded.is_dir():
            return recorded
    return folder


def file_of_module(name: str) -> str | None:
    """Returns the source file of an imported module; None if the module is not imported or has no file (built-in)."""
    return getattr(sys.modules.get(name), "__file__", None)


def source_files(parts: Iterable[Any], folder: Path | None) -> dict[str, Path]:
    """Returns the source files of a run's own code by the names of their modules, without installed packages.

    Args:
        parts: objects of the run, such as model and dataset. The result includes the modules that define their classes,
            and other imported modules of the same packages.
        folder: folder of the project; the result includes all imported modules in this folder.

    Returns:
        At most 500 files, sorted by module name.
    """
    modules = {type(part).__module__ for part in parts}
    packages = {name.partition(".")[0] for name in modules}
    files = {}
    for name in sorted(sys.modules):
        file = file_of_module(name)
        if not file or name.partition(".")[0] in ("eng", "torch") or INSTALLED.search(file):
            continue
        path = Path(file)
        is_of_parts = name in modules or (name != "__main__" and name.partition(".")[0] in packages)
        if is_of_parts or (name != "__main__" and folder is not None and folder in path.parents):
            files[name] = path
    return dict(list(files.items())[:_MOST_FILES])


def file_digest(path: Path) -> str | None:
    """Returns a digest of a file's content; None if the file cannot be read, such as a module inside a zip archive."""
    try:
        return digest(path.read_bytes())
    except OSError:
        return None


def digest(data: bytes) -> str:
    """Returns a BLAKE2 digest of the data as twelve hexadecimal characters."""
    return hashlib.blake2b(data, digest_size=6).hexdigest()
