"""torch's key-value stores: documented and part of `torch.distributed`, but re-exported without being declared so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch.distributed as torch_dist

_TCPStore: Any = torch_dist.TCPStore  # type: ignore[attr-defined] # see the first line
_PrefixStore: Any = torch_dist.PrefixStore  # type: ignore[attr-defined] # see the first line
_rendezvous: Any = torch_dist.rendezvous  # type: ignore[attr-defined] # see the first line


def tcp_store(host: str, port: int, is_master: bool, timeout: timedelta) -> Any:
    """A connection to the store at ``host:port``, which this process serves if it `is_master` (port 0: a free one)."""
    return _TCPStore(host, port, None, is_master, timeout, wait_for_workers=False)


def prefixed(prefix: str, store: Any) -> Any:
    """A part of a store of its own."""
    return _PrefixStore(prefix, store)


def agent_store(rank: int, world_size: int, timeout: timedelta) -> Any:
    """The store that torchrun's agent serves, the same for all restarts of the workers."""
    store, _, _ = next(_rendezvous("env://", rank, world_size, timeout=timeout))
    return store
