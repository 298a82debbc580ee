"""The exceptions of this package; their data are attributes.

Every exception can be created from its message alone, as pickle, copy and torch's dataloader workers do.
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
    """Base class of all exceptions of `eng.dist`."""


class LauncherError(DistError, ValueError):
    """A launcher, backend or reduce operation does not exist, or a machine has fewer devices than processes."""


class ContainerTypeError(DistError, TypeError, AssertionError):
    """The data is not a list or dictionary as required. Also an AssertionError, which MMEngine raises in this case."""


class ResultsDeviceError(LauncherError, NotImplementedError):
    """`collect_results` does not support the device. Also a NotImplementedError, which MMEngine raises in this case."""


class ResultsOptionError(DistError, ValueError, AssertionError):
    """An option of `collect_results` does not fit the device. Also an AssertionError, which MMEngine raises here."""


class LocalGroupError(DistError, RuntimeError, ValueError, AssertionError):
    """The group of this machine's processes cannot be created. Also a ValueError and an AssertionError, as in MMEngine."""


class CastError(DistError, TypeError, ValueError):
    """The argument `out` of `cast_data_device` has another structure than `data`."""


class MissingVariablesError(DistError, KeyError):
    """Environment variables that the launcher should set are missing.

    Attributes:
        names: the names of all missing variables.
    """

    def __init__(self, launcher: str, names: Sequence[str] = (), hint: str = "") -> None:
        self.launcher, self.names = launcher, tuple(names)
        variables = ", ".join(names)
        message = f"launcher {launcher!r} needs the environment variables {variables}, which are not set; {hint}"
        super().__init__(message if names else launcher)

    __str__ = Exception.__str__  # `KeyError.__str__` would put the message in quotes.


class PortInUseError(DistError, OSError):
    """Rank 0 cannot listen on its port, because another process already does."""

    def __init__(self, host: str, port: int | None = None) -> None:
        self.host, self.port = host, port
        super().__init__(
            host
            if port is None
            else f"port {port} of {host} is in use, so rank 0 cannot listen on it (is another job running there?); "
            "set MASTER_PORT to another one, or leave it unset on a single node and a free one is taken"
        )


class WorldSizeMismatchError(DistError, ValueError):
    """The ranks were started with different values of WORLD_SIZE."""


class UnpicklableError(DistError, TypeError):
    """An object that is to be sent to another rank cannot be pickled.

    Attributes:
        ranks: the ranks whose object cannot be pickled.
    """

    def __init__(self, ranks: Sequence[int] | str, message: str | None = None) -> None:
        self.ranks = () if isinstance(ranks, str) else tuple(ranks)
        super().__init__(ranks if message is None else message)


class ResultsError(DistError, ValueError):
    """The results collected from the ranks do not match the samples of the dataset."""


class CollectiveMismatchError(DistError, RuntimeError):
    """Ranks called different collectives, or the same one with different shapes; raised only in debug mode.

    Attributes:
        calls: the call of each rank, by rank.
        ranks: the ranks whose call differs from that of the majority.
    """

    def __init__(self, message: str, calls: Mapping[int, str] | None = None, ranks: Sequence[int] = ()) -> None:
        self.calls, self.ranks = dict(calls or {}), tuple(ranks)
        super().__init__(message)


class CollectiveTimeoutError(DistError, RuntimeError):
    """Some ranks did not call a collective, or did not connect to the job, in time.

    Attributes:
        missing: the ranks that did not call the collective or did not connect.
    """

    def __init__(self, message: str, missing: Sequence[int] = ()) -> None:
        self.missing = tuple(missing)
        super().__init__(message)


class LauncherLostError(DistError, RuntimeError):
    """The launcher process has ended, so this process stops: nobody could stop or restart it any more.

    Attributes:
        rank: rank of this process; -1 if the error was created from a message alone.
        pid: process id of the launcher.
    """

    def __init__(self, rank: int | str, pid: int | None = None) -> None:
        self.rank = -1 if isinstance(rank, str) else rank
        self.pid = pid
        super().__init__(rank if pid is None else f"the launcher (process {pid}) is gone, so rank {rank} stops")


class ForeignFileError(DistError, PermissionError):
    """The file in which rank 0 publishes its port belongs to another user."""


class PeerFailedError(DistError, RuntimeError):
    """Another rank failed, so this rank stops too: a collective would wait for the failed rank forever.

    Attributes:
        rank: the rank that failed; -1 if the error was created from a message alone.
        traceback: traceback of the failed rank as text.
        host: name of the failed rank's machine; None if unknown.
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
