"""One call to all trackers, on rank 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eng.dist import is_main_process
from eng.registry import VISBACKENDS

from ._base import BaseVisBackend
from .background import BackgroundWriter

__all__ = ["FanOut", "build_backends"]


def build_backends(given: Any, save_dir: str | None) -> dict[str, BaseVisBackend]:
    """Trackers by name out of configs and objects.

    Args:
        given: one or several; a config may have a ``name``, by default the name of its class is used.
        save_dir: their files go to ``vis_data`` in it. Without it, only objects and configs with their own
            ``save_dir`` are used.

    Raises:
        ValueError: two have the same name.
        TypeError: one is neither a tracker nor a config.
    """
    items = given if isinstance(given, Sequence) else [given] if given is not None else []
    backends: dict[str, BaseVisBackend] = {}
    for item in items:
        name, backend = _build(item, save_dir)
        if backend is None:
            continue
        if name in backends:
            raise ValueError(f"two vis_backends are called {name!r}; give one of them another 'name'")
        backends[name] = backend
    return backends


def _build(item: Any, save_dir: str | None) -> tuple[str, BaseVisBackend | None]:
    if isinstance(item, BaseVisBackend):
        return type(item).__name__, item
    if not isinstance(item, Mapping):
        raise TypeError(f"a vis_backend is a config or an object of a tracker, not {type(item).__name__}")
    cfg = dict(item)
    name = cfg.pop("name", None)
    if save_dir is not None:
        cfg.setdefault("save_dir", str(Path(save_dir) / "vis_data"))
    if "save_dir" not in cfg:
        return "", None
    kind = cfg["type"]
    return name or (kind if isinstance(kind, str) else kind.__name__), VISBACKENDS.build(cfg)


class FanOut:
    """Passes each call to all trackers on rank 0; other ranks do nothing.

    Trackers that write local files are called at once. If one raises, the others still get the call; then the first
    exception is raised, with the tracker's name. All other trackers are called from a thread of their own.

    Args:
        backends: by name.
    """

    def __init__(self, backends: Mapping[str, BaseVisBackend]) -> None:
        self.backends = dict(backends)
        self._writers = {
            name: BackgroundWriter(name, backend) for name, backend in self.backends.items() if backend.in_background
        }

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Calls `method` of all trackers."""
        if not is_main_process():
            return
        for writer in self._writers.values():
            writer.close() if method == "close" else writer(method, *args, **kwargs)
        failure: Exception | None = None
        for name, backend in self.backends.items():
            if name in self._writers:
                continue
            try:
                getattr(backend, method)(*args, **kwargs)
            except Exception as error:  # noqa: BLE001  # raised again below, once all others were served
                if hasattr(error, "add_note"):
                    error.add_note(f"raised by the vis_backend {name!r} in {method}")
                failure = failure or error
        if failure is not None:
            raise failure
