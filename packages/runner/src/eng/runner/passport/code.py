"""The version of the code behind a run: git's revision and diff, and digests of single source files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

# No setting of a repository may start another program.
_GIT = ("git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks")
_PATIENCE_S = 20.0


class CodeVersion:
    """Asks git beside the run; the answer is read when it is needed.

    Args:
        folder: folder of the project that holds the config; None, or a folder of no repository, has no version.
    """

    def __init__(self, folder: Path | None) -> None:
        self._answers: tuple[str | None, str] | None = None
        self._calls: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
        if folder is None or not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
            self._answers = (None, "")
            return
        diff = ("diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD")
        for words in (("rev-parse", "HEAD"), diff, ("ls-files", "--others", "--exclude-standard")):
            self._call(folder, words)

    @property
    def revision(self) -> str | None:
        """The commit that is checked out; None outside of a repository."""
        return self._read()[0]

    @property
    def diff(self) -> str:
        """What is changed and not committed, as ``git diff`` prints it; names of unknown files stand in front."""
        return self._read()[1]

    def as_facts(self) -> dict[str, Any]:
        """The revision, and a digest of the diff (None where there is none)."""
        diff = self.diff
        return {"revision": self.revision, "diff": digest(diff.encode()) if diff else None}

    def _call(self, folder: Path, words: Iterable[str]) -> None:
        output = tempfile.TemporaryFile()  # noqa: SIM115  # read and closed in _read; a pipe would block a long diff
        try:
            process = subprocess.Popen(  # noqa: S603  # git, with words of this file
                [*_GIT, *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL
            )
        except OSError:  # git is not installed
            output.close()
            return
        self._calls.append((process, output))

    def _read(self) -> tuple[str | None, str]:
        if self._answers is None:
            calls, self._calls = self._calls, []
            answers = [_answer(process, output) for process, output in calls]
            revision, diff, unknown = answers if len(answers) == 3 else ("", "", "")
            names = "".join(f"# not in git: {name}\n" for name in unknown.splitlines())
            self._answers = (revision.strip() or None, names + diff)
        return self._answers


def _answer(process: subprocess.Popen[bytes], output: IO[bytes]) -> str:
    with output:
        try:
            status = process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return ""
        output.seek(0)
        return output.read().decode("utf-8", "replace") if status == 0 else ""


def project_folder(config_file: str | None) -> Path | None:
    """The folder of the config file or, without one, of the script that runs; None where there is neither."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    file = config_file or script
    return Path(file).absolute().parent if file else None


def source_digests(parts: Iterable[Any]) -> dict[str, str]:
    """A digest of the source file of each part's class, by the name of its module; installed ones are left out."""
    digests = {}
    for part in parts:
        name = type(part).__module__
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and name.partition(".")[0] not in ("eng", "torch") and "site-packages" not in file:
            try:
                digests[name] = digest(Path(file).read_bytes())
            except OSError:  # a module out of an archive
                continue
    return digests


def digest(data: bytes) -> str:
    """Twelve characters that differ where the data do."""
    return hashlib.blake2b(data, digest_size=6).hexdigest()
