"""Access to torch's key-value stores, which are documented in `torch.distributed` but missing from its type stubs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch.distributed as torch_dist

_TCPStore: Any = torch_dist.TCPStore  # type: ignore[attr-defined] # torch's type stubs lack this class or function
_PrefixStore: Any = torch_dist.PrefixStore  # type: ignore[attr-defined] # torch's type stubs lack this class or function
_rendezvous: Any = torch_dist.rendezvous  # type: ignore[attr-defined] # torch's type stubs lack this class or function


def tcp_store(host: str, port: int, is_master: bool, timeout: timedelta) -> Any:
    """Connects to the key-value store at ``host:port``; with `is_master` this process also serves the store.

    Port 0 stands for any free port.
    """
    return _TCPStore(host, port, None, is_master, timeout, wait_for_workers=False)


def prefixed(prefix: str, store: Any) -> Any:
    """Returns a view of a store in which every key is stored with a prefix."""
    return _PrefixStore(prefix, store)


def agent_store(rank: int, world_size: int, timeout: timedelta) -> Any:
    """Connects to the key-value store that torchrun's agent serves; it keeps its entries when workers are restarted."""
    store, _, _ = next(_rendezvous("env://", rank, world_size, timeout=timeout))
    return store
