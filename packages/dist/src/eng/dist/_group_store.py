"""Opens a key-value store for a process group that was not created by `init_dist`."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import Any

import torch
from torch.distributed import ProcessGroup

from eng.dist._communicator import GroupCommunicator
from eng.dist._per_group import PerGroup
from eng.dist._stores import tcp_store

_ADDRESS_BYTES = 512
_CONNECT = timedelta(seconds=60)

# The key-value store (torch's TCPStore) of each process group that `init_dist` created.
JOB_STORES: PerGroup[Any] = PerGroup()


def open_group_store(group: ProcessGroup | None) -> Any:
    """Opens a key-value store that the ranks of a process group share; all ranks of `group` must call this function.

    Rank 0 of the group serves the store on a free port and broadcasts the address to the other ranks.
    """
    assert group is not None  # The callers have checked that there is a process group.
    comm = GroupCommunicator(group)
    store = _serve(comm) if comm.rank == 0 else None
    address = torch.zeros(_ADDRESS_BYTES, dtype=torch.uint8)
    if store is not None:
        raw = f"{_own_host(comm)}:{store.port}".encode()
        address[: len(raw)] = torch.tensor(list(raw), dtype=torch.uint8)
    wire = address.to(comm.device)
    comm.broadcast(wire, comm.ranks[0])
    host, port = bytes(wire.cpu().tolist()).rstrip(b"\0").decode().rsplit(":", 1)
    return store or tcp_store(host, int(port), False, _CONNECT)


def _serve(comm: GroupCommunicator) -> Any:
    return tcp_store(_own_host(comm), 0, True, _CONNECT)


def _own_host(comm: GroupCommunicator) -> str:
    """Returns a host name or address under which the other ranks can connect to this process."""
    if comm.ranks[0] == 0 and "MASTER_ADDR" in os.environ:
        return os.environ["MASTER_ADDR"]
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"
