"""Builds logger, message hub, log processor and visualizer of a run, and makes them the current ones while it runs."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from eng.config import Config
from eng.hooks.view import RunnerView, provides
from eng.logging import MessageHub, MMLogger
from eng.registry import LOG_PROCESSORS, VISUALIZERS, DefaultScope, ManagerMixin
from eng.visualization import Visualizer

from .type_name import type_name

logger = logging.getLogger(__name__)


class WritesScalars(Protocol):
    """The method of a visualizer that hooks call; the class need not derive from eng's Visualizer."""

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0) -> None:
        """Writes logged values, such as losses, to the backends.

        Args:
            scalar_dict: values by name.
            step: iteration or epoch of the values.
        """


class WritesLines(Protocol):
    """The method of a log processor that hooks call; the class need not derive from eng's LogProcessor."""

    def get_log_after_iter(self, runner: RunnerView, batch_idx: int, mode: str) -> tuple[dict[str, Any], str]:
        """Returns the values by name for experiment trackers, and the line for the log."""


def build_logger(name: str, log_level: int | str, log_file: str | None, **kwargs: Any) -> MMLogger:
    """Builds the run's logger, which ``MMLogger.get_instance(name)`` finds afterwards; ``kwargs`` go to MMLogger."""
    options = {"name": name, "log_level": log_level, "log_file": log_file, "file_mode": "a", **kwargs}
    return MMLogger.get_instance(**options)


def build_message_hub(message_hub: MessageHub | Mapping[str, Any] | None, name: str) -> MessageHub:
    """Builds the message hub of a run from a config, or from ``name`` alone; a MessageHub is returned unchanged.

    Raises:
        TypeError: ``message_hub`` is neither a MessageHub, nor a config, nor None.
    """
    if isinstance(message_hub, MessageHub):
        return message_hub
    if message_hub is None or isinstance(message_hub, Mapping):
        return MessageHub.get_instance(**{"name": name, **(message_hub or {})})
    raise TypeError(f"message_hub must be a MessageHub or a config, got {type(message_hub).__name__}")


def build_visualizer(visualizer: object, name: str, save_dir: str) -> Any:
    """Builds a visualizer from its config; a visualizer object is returned unchanged.

    A LocalVisBackend is added to a config without one, because resumed runs and ``eng sync`` read the JSON lines that
    the LocalVisBackend writes.

    Raises:
        TypeError: ``visualizer`` is neither a config nor an object with ``add_scalars``.
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
    if provides(visualizer, WritesScalars):
        return visualizer
    raise TypeError(f"visualizer must be a Visualizer or a config, got {type(visualizer).__name__}")


def _give_up_name(name: str) -> None:
    """Frees the name of a visualizer that an earlier run of this process built.

    Many configs name their visualizer ``visualizer``, and every run needs a visualizer of its own.
    """
    earlier = Visualizer.find(name)
    if earlier is not None and earlier.run_name is not None:
        Visualizer.drop(name)


def is_known(name: str) -> bool:
    """Whether this process has a logger, message hub, visualizer or default scope of this name."""
    return any(cls.check_instance_created(name) for cls in (MMLogger, MessageHub, Visualizer, DefaultScope))


@contextmanager
def being_current(parts: Sequence[Any], scope: str) -> Iterator[None]:
    """Makes logger, message hub, visualizer and default scope of a run the current instances inside the context.

    Another run in this process may have made its own instances current since this run was built.

    Args:
        parts: logger, message hub and visualizer of the run; an object without a registered name is ignored.
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
                owner = cls
                if issubclass(cls, Visualizer):
                    # The earlier visualizer may be of another subclass; Visualizer registers those of all subclasses.
                    owner = Visualizer
                owner.make_current(earlier)


@contextmanager
def closed_on_failure(visualizer: Any, *, is_own: bool) -> Iterator[None]:
    """Closes the visualizer if building the other parts of the run fails, so that experiment trackers finish uploads.

    Args:
        visualizer: visualizer of the run.
        is_own: whether the run built the visualizer; a visualizer that the user built stays open.

    Raises:
        BaseException: the error that building the other part raised, unchanged.
    """
    try:
        yield
    except BaseException:
        if is_own:
            try:
                visualizer.close()
            except Exception:  # A tracker may raise any class, and must not hide the error of the run.
                logger.warning("The trackers of the run that failed are not closed", exc_info=True)
        raise


def forget_after(run: object, parts: Sequence[Any]) -> None:
    """Calls :func:`forget_run` when the runner is garbage-collected, but not at the end of the program."""
    weakref.finalize(run, forget_run, parts).atexit = False


def forget_run(parts: Sequence[Any]) -> None:
    """Closes the log file and the experiment trackers of a run, and unregisters its logger, message hub and visualizer.

    Args:
        parts: logger, message hub, visualizer and scope, as far as the run built them itself.
    """
    for part in parts:
        if isinstance(part, MMLogger):
            part.close_file()
        elif isinstance(part, Visualizer):
            part.abandon()
        if isinstance(part, ManagerMixin):
            part.release()


def with_local_backend(backends: object) -> list[Any]:
    """Returns the backends as a list, and adds a LocalVisBackend if there is none."""
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
    """Builds a log processor from its config, by default a LogProcessor; an object is returned unchanged.

    Raises:
        TypeError: ``log_processor`` is neither a config nor an object with ``get_log_after_iter``.
    """
    if isinstance(log_processor, Mapping) or log_processor is None:
        return LOG_PROCESSORS.build(log_processor or {}, default_args={"type": "LogProcessor"})
    if provides(log_processor, WritesLines):
        return log_processor
    raise TypeError(f"log_processor must be a LogProcessor or a config, got {type(log_processor).__name__}")


def begin_curves(visualizer: Any, moment: Callable[[], dict[str, Any]], cfg: Config) -> None:
    """Makes a Visualizer record the training position with each scalar, and writes the config of the run to backends.

    Args:
        visualizer: visualizer of the run; a visualizer of another class only gets the config.
        moment: function that returns the training position, such as ``{"iteration": 40, "mode": "train"}``.
        cfg: the complete config; an empty config is not written.
    """
    if isinstance(visualizer, Visualizer):
        visualizer.follow(moment)
    if cfg:
        visualizer.add_config(cfg)
