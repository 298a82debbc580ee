"""What can go wrong between processes, with the facts as attributes."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "CastError",
    "CollectiveMismatchError",
    "CollectiveTimeoutError",
    "DistError",
    "LauncherError",
    "MissingVariablesError",
    "PeerFailedError",
    "PortInUseError",
    "ResultsError",
    "UnpicklableError",
    "WorldSizeMismatchError",
]


class DistError(Exception):
    """Base of every error of `eng.dist`."""


class LauncherError(DistError, ValueError):
    """A launcher, backend or operation that does not exist."""


class CastError(DistError, TypeError, ValueError):
    """Data and the output that it should be written to do not fit together."""


class MissingVariablesError(DistError, KeyError):
    """The launcher did not set the variables it should.

    Attributes:
        names: every variable that is missing.
    """

    def __init__(self, launcher: str, names: Sequence[str], hint: str) -> None:
        self.launcher, self.names = launcher, tuple(names)
        self.message = f"launcher {launcher!r} needs the environment variables {', '.join(names)}, which are not set; {hint}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class PortInUseError(DistError, OSError):
    """Another process listens on the port that rank 0 should listen on."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        super().__init__(
            f"port {port} of {host} is in use, so rank 0 cannot listen on it (is another job running there?); "
            "set MASTER_PORT to another one, or leave it unset on a single node and a free one is taken"
        )


class WorldSizeMismatchError(DistError, ValueError):
    """Ranks were told different numbers of processes."""


class UnpicklableError(DistError, TypeError):
    """An object that should go to another rank cannot be pickled.

    Attributes:
        ranks: the ranks whose object cannot be pickled.
    """

    def __init__(self, ranks: Sequence[int], message: str) -> None:
        self.ranks = tuple(ranks)
        super().__init__(message)


class ResultsError(DistError, ValueError):
    """The collected results do not cover the dataset."""


class CollectiveMismatchError(DistError, RuntimeError):
    """Ranks called different collectives, or the same one with different shapes (found in debug mode).

    Attributes:
        calls: what each rank called, by rank.
        ranks: the ranks that differ from the majority.
    """

    def __init__(self, message: str, calls: dict[int, str], ranks: Sequence[int]) -> None:
        self.calls, self.ranks = calls, tuple(ranks)
        super().__init__(message)


class CollectiveTimeoutError(DistError, RuntimeError):
    """Some ranks never came to a collective."""

    def __init__(self, message: str, missing: Sequence[int]) -> None:
        self.missing = tuple(missing)
        super().__init__(message)


class PeerFailedError(DistError, RuntimeError):
    """Another rank failed; this one stops because it cannot go on alone.

    Attributes:
        rank: the rank that failed.
        traceback: its traceback as text.
    """

    def __init__(self, rank: int, traceback: str) -> None:
        self.rank, self.traceback = rank, traceback
        super().__init__(f"rank {rank} failed, so this rank stops; its traceback was:\n{traceback.rstrip()}")
