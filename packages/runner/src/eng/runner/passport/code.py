"""The version of the code behind a run: git's revision and diff, and digests of single source files."""

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

# No setting of a repository may start another program.
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks")
_PATIENCE_S = 20.0
_MOST_FILES = 500
INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
"""Finds in a path the folder into which Python's packages are installed."""
# Name of the folder of a start, which is its time.
_START = "[0-9]" * 8 + "_" + "[0-9]" * 6
# Of the files that git does not know, these are code; others are logs, checkpoints and compiled files of runs.
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
    """Asks git beside the run; the answer is read when it is needed.

    Args:
        folder: folder of the project that holds the config; None, or a folder of no repository, has no version.

    Attributes:
        folder: the same.
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
        """The commit that is checked out; None outside a repository."""
        return self._read()[0]

    @property
    def diff(self) -> str:
        """What is changed and not committed, as ``git diff`` prints it; names of unknown files stand in front."""
        return self._read()[1]

    def as_facts(self) -> dict[str, Any]:
        """The revision, and a digest of the diff (None where there is none)."""
        facts: dict[str, Any] = {"revision": self.revision, "diff": None}
        if self.diff:
            facts["diff"] = digest(self.diff.encode())
        return facts

    def _call(self, folder: Path, arguments: Iterable[str]) -> None:
        """Starts git in a folder; nothing where git is not installed."""
        output = tempfile.TemporaryFile()  # noqa: SIM115  # read and closed in _read; a pipe would block a long diff
        try:
            process = subprocess.Popen(  # noqa: S603  # git, with words of this file
                [*_GIT, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL
            )
        except OSError:  # git is not installed
            output.close()
            return
        self._calls.append((process, output))

    def _is_of_a_run(self, name: str) -> bool:
        """Whether a file, named from the folder, lies in a work dir: a folder with a subfolder for each start.

        The passport of this run is not written yet when git is asked.
        """
        parents = []
        if self.folder:
            parents = [self.folder / parent for parent in Path(name).parents if str(parent) != "."]
        return any(next(parent.glob(_START), None) is not None for parent in parents)

    def _read(self) -> tuple[str | None, str]:
        """The revision, and the changes that are not committed with the names of files that git does not know; read once."""
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
    """What git printed; empty where it failed or did not answer in time."""
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
    """The folder of the config file or, without one, of the script that runs; None where there is neither.

    A config that a run wrote beside its passport belongs to the project of that run.
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
    """The source file of an imported module; None where it has none, such as a built-in one, or is not imported."""
    return getattr(sys.modules.get(name), "__file__", None)


def source_files(parts: Iterable[Any], folder: Path | None) -> dict[str, Path]:
    """The source files of a run by the name of their module; installed packages are left out.

    Args:
        parts: objects whose classes' packages, as far as they are imported, count.
        folder: of the project; the imported modules in it count too.

    Returns:
        At most 500 files, in the order of their names.
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
    """A digest of a file; None where it cannot be read, as a module out of an archive."""
    try:
        return digest(path.read_bytes())
    except OSError:
        return None


def digest(data: bytes) -> str:
    """Twelve characters that differ where the data do."""
    return hashlib.blake2b(data, digest_size=6).hexdigest()
