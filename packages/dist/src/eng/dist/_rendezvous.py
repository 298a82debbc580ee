"""The rendezvous of a job: all ranks connect to a key-value store, which rank 0 or torchrun's agent serves."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Any

import torch.distributed as torch_dist

from eng.dist._launchers import Launch
from eng.dist._port_file import port_file, publish_port, read_port
from eng.dist._starts import part_of_this_start
from eng.dist._stores import agent_store, tcp_store
from eng.dist.errors import CollectiveTimeoutError, PortInUseError, WorldSizeMismatchError

DEFAULT_TIMEOUT = timedelta(minutes=30)
_POLL_S = 0.02
_ONE_TRY = timedelta(seconds=5)
# Seconds by which eng waits longer than torch for a connection. torch's own timeout error contains more details, so it
# should come first.
_CONNECT_GRACE_S = 1.0


def find_free_port() -> int:
    """Returns a TCP port of this machine on which no program listens.

    Another program may start to listen on the port before the caller does. For a job on a single node, better leave
    MASTER_PORT unset: rank 0 then chooses a free port and listens on this port at once.

    Example:
        >>> 0 < find_free_port() < 65536
        True
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def open_store(launch: Launch, timeout: timedelta) -> Any:
    """Connects to the key-value store that all ranks of this job share.

    torchrun's agent process serves the store if it offers one; otherwise rank 0 serves the store.

    Raises:
        PortInUseError: rank 0 cannot listen on the port.
        CollectiveTimeoutError: rank 0 does not answer in time.
        ForeignFileError: the file with the port belongs to another user.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        store = agent_store(launch.rank, launch.world_size, timeout)
        return part_of_this_start(store, launch.rank, launch.world_size, timeout)
    if launch.port is not None:
        return _tcp_store(launch.address, launch.port, launch.rank == 0, timeout)
    return _serve_and_publish(launch, timeout) if launch.rank == 0 else _read_and_connect(launch, timeout)


def check_world_size(store: Any, launch: Launch, timeout: timedelta) -> None:
    """Checks that all ranks were started with the same world size.

    With different world sizes, some ranks would wait for ranks that do not exist.

    Raises:
        WorldSizeMismatchError: raised on rank 0 and on every rank whose world size differs from that of rank 0.
        CollectiveTimeoutError: a rank did not connect in time.
    """
    attempt = store.add(f"eng/attempt/{launch.rank}", 1)
    key = f"eng/hello/{attempt}"
    store.set(f"{key}/{launch.rank}", str(launch.world_size))
    for rank in range(launch.world_size) if launch.rank == 0 else (0,):
        _wait_for_rank(store, f"{key}/{rank}", rank, timeout)
        world_size = int(store.get(f"{key}/{rank}"))
        if world_size != launch.world_size:
            raise WorldSizeMismatchError(
                f"rank {launch.rank} was told of {launch.world_size} processes, but rank {rank} of {world_size}; "
                "start all of them with the same WORLD_SIZE"
            )


def _wait_for_rank(store: Any, key: str, rank: int, timeout: timedelta) -> None:
    deadline = time.monotonic() + timeout.total_seconds()
    while not store.check([key]):
        if time.monotonic() > deadline:
            raise CollectiveTimeoutError(f"rank {rank} did not come within {timeout.total_seconds():g} s", [rank])
        time.sleep(_POLL_S)


def _tcp_store(host: str, port: int, is_master: bool, timeout: timedelta) -> Any:
    """Serves a key-value store on `port` if `is_master` is set (rank 0), otherwise connects to the store of rank 0.

    Raises:
        PortInUseError: another process already listens on the port.
        CollectiveTimeoutError: rank 0 does not answer in time.
    """
    if not is_master:
        return _connect(host, port, timeout)
    try:
        return tcp_store(host, port, True, timeout)
    except torch_dist.DistNetworkError as error:
        if "EADDRINUSE" in str(error) or "already in use" in str(error):
            raise PortInUseError(host, port) from error
        raise


def _connect(host: str, port: int, timeout: timedelta) -> Any:
    """Connects to the store of rank 0, with a timeout.

    torch (2.13) waits forever for a server that accepts a connection and never answers. Therefore the connection is
    made in a daemon thread, which does not keep the process alive if it is stuck.
    """
    outcome: SimpleQueue[Any] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put(tcp_store(host, port, False, timeout))
        except RuntimeError as error:
            outcome.put(error)

    threading.Thread(target=run, name="eng-dist-connect", daemon=True).start()
    try:
        result = outcome.get(timeout=timeout.total_seconds() + _CONNECT_GRACE_S)
    except Empty:
        result = TimeoutError("it accepts connections and does not answer")
    if isinstance(result, Exception):
        raise CollectiveTimeoutError(
            f"rank 0 did not answer at {host}:{port} within {timeout.total_seconds():g} s "
            f"({str(result).splitlines()[0]}); did rank 0 start, and does another program listen on this port? "
            "Set MASTER_PORT to a free port",
            [0],
        ) from result
    return result


def _serve_and_publish(launch: Launch, timeout: timedelta) -> Any:
    """Serves the store on a free port (rank 0); publishes the port in a file until all other ranks have connected."""
    store = _tcp_store(launch.address, 0, True, timeout)
    os.environ["MASTER_PORT"] = str(store.port)
    with publish_port(store.port, port_file(launch.job)):
        for rank in range(1, launch.world_size):
            _wait_for_rank(store, f"eng/connected/{rank}", rank, timeout)
    return store


def _read_and_connect(launch: Launch, timeout: timedelta) -> Any:
    """Waits for the file in which rank 0 publishes its port, and connects to the store of rank 0.

    Raises:
        CollectiveTimeoutError: rank 0 published no port in time, or did not answer.
        ForeignFileError: the file belongs to another user.
    """
    source, deadline = port_file(launch.job), time.monotonic() + timeout.total_seconds()
    while True:
        # A file that an earlier job left behind names a port on which nobody listens. After a failed connection the
        # file is read again, because rank 0 may have replaced it meanwhile.
        with contextlib.suppress(CollectiveTimeoutError):
            port = read_port(source)
            if port is not None:
                store = _connect(launch.address, port, min(timeout, _ONE_TRY))
                store.set_timeout(timeout)
                store.set(f"eng/connected/{launch.rank}", "1")
                os.environ["MASTER_PORT"] = str(port)
                return store
        if time.monotonic() > deadline:
            raise CollectiveTimeoutError(f"rank 0 did not publish its port within {timeout.total_seconds():g} s", [0])
        time.sleep(_POLL_S)
