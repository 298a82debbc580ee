"""What watches a run: logger, message hub, log processor, visualizer, hooks."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from eng.config import Config
from eng.logging import MessageHub, MMLogger
from eng.registry import LOG_PROCESSORS, VISUALIZERS, DefaultScope, ManagerMixin
from eng.visualization import Visualizer

from .type_name import type_name

logger = logging.getLogger(__name__)


@runtime_checkable
class WritesScalars(Protocol):
    """What hooks call of a visualizer, which need not derive from :class:`eng.visualization.Visualizer`."""

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0) -> None:
        """Writes values by name."""


@runtime_checkable
class WritesLines(Protocol):
    """What hooks call of a log processor, which need not derive from :class:`eng.runner.LogProcessor`."""

    def get_log_after_iter(self, runner: Any, batch_idx: int, mode: str) -> tuple[dict[str, Any], str]:
        """Gives the values by name for the trackers, and the line for the log."""


def build_logger(name: str, log_level: int | str, log_file: str | None, **kwargs: Any) -> MMLogger:
    """The run's logger, known as ``name``; further keywords go to :class:`eng.logging.MMLogger`."""
    options = {"name": name, "log_level": log_level, "log_file": log_file, "file_mode": "a", **kwargs}
    return MMLogger.get_instance(**options)


def build_message_hub(message_hub: MessageHub | Mapping[str, Any] | None, name: str) -> MessageHub:
    """The message hub known as ``name``, or as the ``name`` of a config; a hub is given back as it is.

    Raises:
        TypeError: ``message_hub`` is none of these.
    """
    if isinstance(message_hub, MessageHub):
        return message_hub
    if message_hub is None or isinstance(message_hub, Mapping):
        return MessageHub.get_instance(**{"name": name, **(message_hub or {})})
    raise TypeError(f"message_hub must be a MessageHub or a config, got {type(message_hub).__name__}")


def build_visualizer(visualizer: object, name: str, save_dir: str) -> Any:
    """A visualizer from its config; an object is given back as it is.

    A LocalVisBackend is added to backends without one: a run that goes on, and ``eng sync``, read the lines that it writes.

    Raises:
        TypeError: ``visualizer`` is neither.
    """
    if visualizer is None:
        backends = [{"type": "LocalVisBackend"}]
        return Visualizer.get_instance(name=name, vis_backends=backends, save_dir=save_dir)
    if isinstance(visualizer, Mapping):
        defaults = {"name": name, "save_dir": save_dir}
        cfg = {"type": "Visualizer", **defaults, **visualizer}
        if cfg.get("vis_backends"):
            cfg["vis_backends"] = with_local_backend(cfg["vis_backends"])
        _give_up_name(cfg["name"])
        built = VISUALIZERS.build(cfg)
        built.run_name = name
        return built
    if isinstance(visualizer, WritesScalars):
        return visualizer
    raise TypeError(f"visualizer must be a Visualizer or a config, got {type(visualizer).__name__}")


def _give_up_name(name: str) -> None:
    """Takes a visualizer's name from an earlier run: configs call theirs ``visualizer``, and each run writes into its own."""
    earlier = Visualizer.find(name)
    if earlier is not None and earlier.run_name is not None:
        Visualizer.drop(name)


def is_known(name: str) -> bool:
    """Whether a logger, hub, visualizer or scope of this process has a name."""
    return any(cls.check_instance_created(name) for cls in (MMLogger, MessageHub, Visualizer, DefaultScope))


@contextmanager
def being_current(parts: Sequence[Any], scope: str) -> Iterator[None]:
    """Makes a run's logger, hub, visualizer and scope the current ones while it runs: another run may have come since.

    Args:
        parts: logger, hub and visualizer; what is not known by name is left alone.
        scope: the run's default scope.
    """
    named = [(type(part), part.instance_name) for part in parts if isinstance(part, ManagerMixin)]
    before = [(cls, cls.make_current(name)) for cls, name in named]
    try:
        with DefaultScope.overwrite_default_scope(scope):
            yield
    finally:
        for cls, earlier in before:
            if earlier is not None:
                base = cls
                if issubclass(cls, Visualizer):
                    base = Visualizer
                base.make_current(earlier)


@contextmanager
def closed_on_failure(visualizer: Any, *, is_own: bool) -> Iterator[None]:
    """Closes the trackers of a run whose parts cannot be built, so that they end in order and not with the process.

    Args:
        visualizer: of the run.
        is_own: whether the run built it; that of somebody else stays open.

    Raises:
        BaseException: the failure, as it is.
    """
    try:
        yield
    except BaseException:
        if is_own:
            try:
                visualizer.close()
            except Exception:  # trackers raise what they like, and the failure of the run is what counts
                logger.warning("The trackers of the run that failed are not closed", exc_info=True)
        raise


def forget_after(run: object, parts: Sequence[Any]) -> None:
    """Lets go of the parts when nobody holds the run any more, and not at the end of the program."""
    weakref.finalize(run, forget_run, parts).atexit = False


def forget_run(parts: Sequence[Any]) -> None:
    """Lets go of what is known by name for longer than its run lives: log file, trackers and their threads, histories.

    Args:
        parts: logger, hub, visualizer and scope, those that the run made.
    """
    for part in parts:
        if isinstance(part, MMLogger):
            part.close_file()
        elif isinstance(part, Visualizer):
            part.abandon()
        if isinstance(part, ManagerMixin):
            part.release()


def with_local_backend(backends: object) -> list[Any]:
    """The backends, with a local one behind them where they have none."""
    if backends is None:
        backends = []
    if isinstance(backends, Sequence):
        listed = list(backends)
    else:
        listed = [backends]
    if "LocalVisBackend" in map(type_name, listed):
        return listed
    return [*listed, {"type": "LocalVisBackend"}]


def build_log_processor(log_processor: object) -> Any:
    """A log processor from its config, of the default kind without ``type``; an object is given back as it is.

    Raises:
        TypeError: ``log_processor`` is neither.
    """
    if isinstance(log_processor, Mapping) or log_processor is None:
        return LOG_PROCESSORS.build(log_processor or {}, default_args={"type": "LogProcessor"})
    if isinstance(log_processor, WritesLines):
        return log_processor
    raise TypeError(f"log_processor must be a LogProcessor or a config, got {type(log_processor).__name__}")


def begin_curves(visualizer: Any, moment: Callable[[], dict[str, Any]], cfg: Config) -> None:
    """Lets a visualizer that can tell write the moment of training with each scalar, and gives it the config of the run."""
    if isinstance(visualizer, Visualizer):
        visualizer.follow(moment)
    if cfg:
        visualizer.add_config(cfg)
