"""FanOut: passes each call of the visualizer to all trackers, on rank 0 only."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eng.dist import is_main_process
from eng.logging.notes import add_note
from eng.registry import VISBACKENDS

from ._base import BaseVisBackend
from .background import BackgroundWriter
from .curves.lines import POSITION_KEYS
from .errors import DuplicateBackendError

__all__ = ["FanOut", "build_backends"]


def build_backends(trackers: Any, save_dir: str | None) -> dict[str, BaseVisBackend]:
    """Builds the experiment trackers of a visualizer from configs and objects, and returns them by name.

    Args:
        trackers: a tracker or config, or several. A config may have a ``name``; the default is the name of its class.
        save_dir: folder in which the trackers write their files, in the subfolder ``vis_data``. If it is None, only objects
            and configs with their own ``save_dir`` are used.

    Raises:
        DuplicateBackendError: two trackers have the same name (the error is a ValueError and a RuntimeError).
        TypeError: an item is neither a tracker nor a config.
    """
    items: Sequence[Any] = ()
    if isinstance(trackers, Sequence):
        items = trackers
    elif trackers is not None:
        items = [trackers]
    backends: dict[str, BaseVisBackend] = {}
    for item in items:
        name, backend = _build(item, save_dir)
        if backend is None:
            continue
        if name in backends:
            raise DuplicateBackendError(f"two vis_backends are called {name!r}; give one of them another 'name'")
        backends[name] = backend
    return backends


def _build(item: Any, save_dir: str | None) -> tuple[str, BaseVisBackend | None]:
    """Returns the name of a tracker, and the tracker, which is built if ``item`` is a config.

    The tracker is None if neither the config nor ``save_dir`` names a folder to write to.

    Raises:
        TypeError: ``item`` is neither a tracker nor a config.
    """
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
    backend_type = cfg["type"]
    if not name and isinstance(backend_type, str):
        name = backend_type
    elif not name:
        name = backend_type.__name__
    return name, VISBACKENDS.build(cfg)


class FanOut:
    """Passes each call of a visualizer to all of its experiment trackers on rank 0; on other ranks it does nothing.

    A tracker whose class sets ``in_background = True`` is called from a separate thread, any other tracker directly. If
    a tracker that is called directly raises, the other trackers are still called; then the first exception is raised,
    with the tracker's name.

    Args:
        backends: trackers by name.
    """

    def __init__(self, backends: Mapping[str, BaseVisBackend]) -> None:
        self.backends = dict(backends)
        self._writers: dict[int, BackgroundWriter] = {}

    def __call__(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Calls the method with the name ``method`` of all trackers."""
        if not is_main_process():
            return
        direct = []
        for name, backend in self.backends.items():
            if not _is_in_background(backend):
                direct.append((name, backend))
                continue
            writer = self._writer_of(name, backend)
            if method == "close":
                writer.close()
            else:
                writer(method, *args, **_accepted_keywords(backend, method, kwargs))
        failure: Exception | None = None
        for name, backend in direct:
            try:
                _call(backend, method, args, kwargs)
            except Exception as error:  # noqa: BLE001  # The first error is raised below, after all trackers were called.
                add_note(error, f"raised by the vis_backend {name!r} in {method}")
                failure = failure or error
        if failure is not None:
            raise failure

    def abandon(self) -> None:
        """Lets the threads of trackers end as soon as they have made all queued calls, and returns without waiting."""
        for writer in self._writers.values():
            writer.abandon()

    def _writer_of(self, name: str, backend: BaseVisBackend) -> BackgroundWriter:
        writer = self._writers.get(id(backend))
        if writer is None:
            writer = self._writers[id(backend)] = BackgroundWriter(name, backend)
        return writer


def _is_in_background(backend: Any) -> bool:
    """Whether a tracker is called from a separate thread.

    The class of the tracker itself must set ``in_background``. The value of a base class does not count, because a
    subclass may add methods that are not thread-safe.
    """
    return bool(vars(type(backend)).get("in_background", False))


def _call(backend: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Calls a method of a tracker; if the tracker has no such method, nothing is done, except for ``replay``."""
    function = getattr(backend, method, None)
    if function is not None:
        function(*args, **_accepted_keywords(backend, method, kwargs))
    elif method == "replay":
        # A tracker that was written for MMEngine has no method `replay`, so the earlier scalars are written one by one.
        for line in args[0]:
            backend.add_scalars(line.values, line.step, **_accepted_keywords(backend, "add_scalars", line.position))


def _accepted_keywords(backend: Any, method: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Removes those of the keywords ``axis``, ``iteration`` and ``mode`` that a tracker's method does not accept.

    Trackers that were written for MMEngine do not have these keywords. All other keywords in ``kwargs`` are kept.
    """
    if not kwargs or (accepted := _keywords_of(backend.__class__, method)) is None:
        return kwargs
    return {key: value for key, value in kwargs.items() if key in accepted or key not in POSITION_KEYS}


@functools.lru_cache(maxsize=256)
def _keywords_of(backend_class: type, method: str) -> frozenset[str] | None:
    """Returns the names of a method's parameters; None if the method accepts any keyword (``**kwargs``)."""
    function = getattr(backend_class, method, None)
    if function is None:
        return None
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return frozenset(parameters)
