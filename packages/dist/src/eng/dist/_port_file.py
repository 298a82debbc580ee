"""The file in which rank 0 publishes its port for the other ranks of the same machine.

All ranks derive the file name from the job. The file lies in the temporary folder, where any user of the machine could
create it, so it is only accepted if it belongs to this user: the ranks trust the process on the published port.
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
    """Returns the path of the file by which rank 0 tells the other ranks of its machine the port of its store.

    Args:
        job: unique name of the job; if empty, the process id of the launcher distinguishes the files of different jobs.
    """
    name = job.replace("/", "_") or str(os.getppid())
    return Path(tempfile.gettempdir()) / f"eng-dist-{os.getuid()}-{name}"


@contextlib.contextmanager
def publish_port(port: int, path: Path) -> Iterator[None]:
    """Writes the port of rank 0 into a file, from which other ranks read it, and removes the file after the ``with`` block.

    Raises:
        ForeignFileError: a file of this name belongs to another user.
    """
    # mkstemp creates a new file that only this user can read; renaming it makes the complete content visible at once.
    handle, temporary_name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(str(port))
    try:
        Path(temporary_name).replace(path)
    except PermissionError as error:
        Path(temporary_name).unlink()
        raise _foreign_file_error(path) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read_port(path: Path) -> int | None:
    """Returns the port that rank 0 has written into the file `path`; None if the file does not exist yet.

    Raises:
        ForeignFileError: the file belongs to another user, or is a symbolic link.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EACCES):
            raise _foreign_file_error(path) from error
        raise
    with os.fdopen(handle, encoding="ascii") as file:
        if os.fstat(handle).st_uid != os.getuid():
            raise _foreign_file_error(path)
        return int(file.read())


def _foreign_file_error(path: Path) -> ForeignFileError:
    return ForeignFileError(
        f"{path}, through which rank 0 publishes its port, belongs to another user or is a link; "
        "remove it, set TMPDIR to a folder of your own, or set MASTER_PORT to a free port"
    )
