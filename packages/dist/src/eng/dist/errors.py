"""What can go wrong between processes, with the facts as attributes.

The first argument alone is the whole message: pickle, copy and torch's loader workers rebuild an error from its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = [
    "CastError",
    "CollectiveMismatchError",
    "CollectiveTimeoutError",
    "ContainerTypeError",
    "DistError",
    "ForeignFileError",
    "LauncherError",
    "LauncherLostError",
    "LocalGroupError",
    "MissingVariablesError",
    "PeerFailedError",
    "PortInUseError",
    "ResultsDeviceError",
    "ResultsError",
    "ResultsOptionError",
    "UnpicklableError",
    "WorldSizeMismatchError",
]


class DistError(Exception):
    """Base of every error of `eng.dist`."""


class LauncherError(DistError, ValueError):
    """A launcher, backend or operation that does not exist."""


class ContainerTypeError(DistError, TypeError, AssertionError):
    """Data that should be a list or a dictionary is none; an AssertionError too, as in MMEngine."""


class ResultsDeviceError(LauncherError, NotImplementedError):
    """Results cannot be collected through such a device; a NotImplementedError too, as in MMEngine."""


class ResultsOptionError(DistError, ValueError, AssertionError):
    """An option of `collect_results` that has no meaning with the device; an AssertionError too, as in MMEngine."""


class LocalGroupError(DistError, RuntimeError, ValueError, AssertionError):
    """The group of this machine's processes cannot be made now; also what MMEngine raises then."""


class CastError(DistError, TypeError, ValueError):
    """Data and the output that it should be written to do not fit together."""


class MissingVariablesError(DistError, KeyError):
    """The launcher did not set the variables it should.

    Attributes:
        names: every variable that is missing.
    """

    def __init__(self, launcher: str, names: Sequence[str] = (), hint: str = "") -> None:
        self.launcher, self.names = launcher, tuple(names)
        variables = ", ".join(names)
        message = f"launcher {launcher!r} needs the environment variables {variables}, which are not set; {hint}"
        super().__init__(message if names else launcher)

    __str__ = Exception.__str__  # KeyError shows the repr of its argument


class PortInUseError(DistError, OSError):
    """Another process listens on the port that rank 0 should listen on."""

    def __init__(self, host: str, port: int | None = None) -> None:
        self.host, self.port = host, port
        super().__init__(
            host
            if port is None
            else f"port {port} of {host} is in use, so rank 0 cannot listen on it (is another job running there?); "
            "set MASTER_PORT to another one, or leave it unset on a single node and a free one is taken"
        )


class WorldSizeMismatchError(DistError, ValueError):
    """Ranks were told different numbers of processes."""


class UnpicklableError(DistError, TypeError):
    """An object that should go to another rank cannot be pickled.

    Attributes:
        ranks: the ranks whose object cannot be pickled.
    """

    def __init__(self, ranks: Sequence[int] | str, message: str | None = None) -> None:
        self.ranks = () if isinstance(ranks, str) else tuple(ranks)
        super().__init__(ranks if message is None else message)


class ResultsError(DistError, ValueError):
    """The collected results do not cover the dataset."""


class CollectiveMismatchError(DistError, RuntimeError):
    """Ranks called different collectives, or the same one with different shapes (found in debug mode).

    Attributes:
        calls: what each rank called, by rank.
        ranks: the ranks that differ from the majority.
    """

    def __init__(self, message: str, calls: Mapping[int, str] | None = None, ranks: Sequence[int] = ()) -> None:
        self.calls, self.ranks = dict(calls or {}), tuple(ranks)
        super().__init__(message)


class CollectiveTimeoutError(DistError, RuntimeError):
    """Some ranks never came to a collective.

    Attributes:
        missing: those ranks.
    """

    def __init__(self, message: str, missing: Sequence[int] = ()) -> None:
        self.missing = tuple(missing)
        super().__init__(message)


class LauncherLostError(DistError, RuntimeError):
    """The launcher of this process is gone; the process stops, as nobody would ever end it.

    Attributes:
        rank: of this process; -1 where only the message is known.
        pid: process id that the launcher had.
    """

    def __init__(self, rank: int | str, pid: int | None = None) -> None:
        self.rank = -1 if isinstance(rank, str) else rank
        self.pid = pid
        super().__init__(rank if pid is None else f"the launcher (process {pid}) is gone, so rank {rank} stops")


class ForeignFileError(DistError, PermissionError):
    """A file through which the ranks find one another belongs to another user."""


class PeerFailedError(DistError, RuntimeError):
    """Another rank failed; this one stops because it cannot go on alone.

    Attributes:
        rank: the rank that failed; -1 where only the message is known.
        traceback: its traceback as text.
        host: name of its machine; None where it is not known.
    """

    def __init__(self, rank: int | str, traceback: str | None = None, host: str | None = None) -> None:
        self.rank = -1 if isinstance(rank, str) else rank
        self.traceback = traceback
        self.host = host
        where = f", on {host}," if host else ""
        super().__init__(
            rank
            if traceback is None
            else f"rank {rank} failed, so this rank stops; its traceback{where} was:\n{traceback.rstrip()}"
        )
