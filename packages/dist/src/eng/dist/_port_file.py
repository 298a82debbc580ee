"""The file through which rank 0 tells the ranks of its machine where it listens.

Its name follows from the job, as the ranks share nothing else. The temporary folder is open to all users of the machine,
so the file counts only where it belongs to this user: who writes the port decides whom the ranks trust.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from eng.dist.errors import ForeignFileError


def port_file(job: str) -> Path:
    """Where the port of a job stands.

    Args:
        job: the launcher's name of the job; where it has none, the launcher's process number tells the jobs of a machine
            apart.
    """
    name = job.replace("/", "_") or str(os.getppid())
    return Path(tempfile.gettempdir()) / f"eng-dist-{os.getuid()}-{name}"


@contextlib.contextmanager
def published(port: int, path: Path) -> Iterator[None]:
    """The port stands in the file during the block.

    Raises:
        ForeignFileError: a file of this name belongs to another user.
    """
    handle, aside = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # a new file, readable for this user only
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(str(port))
    try:
        Path(aside).replace(path)
    except PermissionError as error:
        Path(aside).unlink()
        raise _foreign(path) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_port(path: Path) -> int | None:
    """The published port; None where there is none yet.

    Raises:
        ForeignFileError: the file belongs to another user, or is a link.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EACCES):
            raise _foreign(path) from error
        raise
    with os.fdopen(handle, encoding="ascii") as file:
        if os.fstat(handle).st_uid != os.getuid():
            raise _foreign(path)
        return int(file.read())


def _foreign(path: Path) -> ForeignFileError:
    return ForeignFileError(
        f"{path}, through which rank 0 publishes its port, belongs to another user or is a link; "
        "remove it, set TMPDIR to a folder of your own, or set MASTER_PORT to a free port"
    )
