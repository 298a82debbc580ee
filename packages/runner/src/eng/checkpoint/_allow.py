"""The types that a checkpoint may hold. Beside what torch allows: what MMEngine puts into its own checkpoints."""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import importlib
import pathlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from eng.logging import HistoryBuffer

Allowed = Callable[..., Any] | tuple[Callable[..., Any], str]

_HISTORY_PATHS = ("mmengine.logging.history_buffer.HistoryBuffer", "mmengine.logging.log_buffer.LogBuffer")
_MAPPING_PATHS = (
    "collections.defaultdict",
    "mmengine.config.config.ConfigDict",
    "mmengine.config.ConfigDict",
    "mmcv.utils.config.ConfigDict",
    "eng.config._config_dict.ConfigDict",
    "addict.addict.Dict",
)


class PlainMapping:
    """Stands in for kinds of dicts that torch does not fill (it fills plain ones only): gives an OrderedDict."""

    def __new__(cls, *args: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]  # that is the trick
        """A mapping with the items of `args`; a default factory among them is ignored."""
        made: OrderedDict[Any, Any] = OrderedDict()
        for argument in args:
            if isinstance(argument, Mapping):
                made.update(argument)
        return made


def history_method(owner: type, name: str) -> None:
    """The only ``getattr`` that a checkpoint gets: MMEngine pickles the statistics of its history buffers that way.

    Raises:
        AttributeError: anything else was asked for.
    """
    if owner is HistoryBuffer:
        # Our class has its own table of them, so that the method itself is not needed.
        return
    raise AttributeError(f"a checkpoint may not read the attribute {name!r} of {owner!r}")


@cache
def allowed_types() -> tuple[Allowed, ...]:
    """What :func:`torch.serialization.safe_globals` gets in addition to its own list."""
    plain: list[Allowed] = [
        collections.deque, dict, list, tuple, set, frozenset, int, float, complex, str, bytes, bool,
        slice, range, dt.datetime, dt.date, dt.time, dt.timedelta, dt.timezone,
        pathlib.PurePosixPath, pathlib.PureWindowsPath, argparse.Namespace, HistoryBuffer,
    ]  # fmt: skip
    renamed: list[Allowed] = [(HistoryBuffer, path) for path in _HISTORY_PATHS]
    renamed += [(PlainMapping, path) for path in _MAPPING_PATHS]
    renamed += [(pathlib.PurePosixPath, "pathlib.PosixPath"), (pathlib.PureWindowsPath, "pathlib.WindowsPath")]
    renamed += [(history_method, "builtins.getattr")]
    return (*plain, PlainMapping, *renamed, *_numpy_types())


def _numpy_types() -> list[Allowed]:
    try:
        multiarray = importlib.import_module("numpy._core.multiarray")
    except ModuleNotFoundError:  # numpy 1
        multiarray = importlib.import_module("numpy.core.multiarray")
    found: list[Allowed] = [np.ndarray, np.dtype]
    for name in ("_reconstruct", "scalar"):
        # Files name the module of the numpy that wrote them.
        found += [(getattr(multiarray, name), f"numpy.{core}.multiarray.{name}") for core in ("core", "_core")]
    found += [kind for kind in vars(np.dtypes).values() if isinstance(kind, type) and issubclass(kind, np.dtype)]
    return found
