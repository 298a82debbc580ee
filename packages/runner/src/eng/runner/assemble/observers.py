"""What watches a run: logger, message hub, log processor, visualizer, hooks."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from eng.hooks import Hook
from eng.hooks.hook import POINTS, overrides
from eng.logging import MessageHub, MMLogger
from eng.logging.progress import can_draw
from eng.registry import HOOKS, LOG_PROCESSORS, VISUALIZERS, DefaultScope, ManagerMixin
from eng.runner.errors import SettingsError
from eng.runner.priority import Priority, get_priority
from eng.visualization import Visualizer

from .own_copy import own_copy

DEFAULT_HOOKS: dict[str, dict[str, Any]] = {
    "runtime_info": {"type": "RuntimeInfoHook"},
    "timer": {"type": "IterTimerHook"},
    "sampler_seed": {"type": "DistSamplerSeedHook"},
    "logger": {"type": "LoggerHook"},
    "param_scheduler": {"type": "ParamSchedulerHook"},
    "checkpoint": {"type": "CheckpointHook", "interval": 1},
}

_SLIP = 0.75


def build_logger(name: str, log_level: int | str, log_file: str | None, **kwargs: Any) -> Any:
    """The run's logger, known as ``name``; further keywords go to :class:`eng.logging.MMLogger`."""
    options = {"name": name, "log_level": log_level, "log_file": log_file, "file_mode": "a", **kwargs}
    return MMLogger.get_instance(**options)


def build_message_hub(message_hub: Any, name: str) -> Any:
    """The message hub known as ``name``, or as the ``name`` of a config; a hub is given back as it is.

    Raises:
        TypeError: ``message_hub`` is none of these.
    """
    if isinstance(message_hub, MessageHub):
        return message_hub
    if message_hub is None or isinstance(message_hub, Mapping):
        return MessageHub.get_instance(**{"name": name, **(message_hub or {})})
    raise TypeError(f"message_hub must be a MessageHub or a config, got {type(message_hub).__name__}")


def build_visualizer(visualizer: Any, name: str, save_dir: str) -> Any:
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
    if hasattr(visualizer, "add_scalars"):
        return visualizer
    raise TypeError(f"visualizer must be a Visualizer or a config, got {type(visualizer).__name__}")


def _give_up_name(name: str) -> None:
    """Takes a visualizer's name from an earlier run: configs call theirs ``visualizer``, and each run writes into its own."""
    earlier = Visualizer.find(name)
    if getattr(earlier, "run_name", None) is not None:
        Visualizer.drop(name)


def is_known(name: str) -> bool:
    """Whether a logger, hub, visualizer or scope of this process has a name."""
    return any(kind.check_instance_created(name) for kind in (MMLogger, MessageHub, Visualizer, DefaultScope))


@contextmanager
def being_current(parts: Sequence[Any], scope: str) -> Iterator[None]:
    """Makes a run's logger, hub, visualizer and scope the current ones while it runs: another run may have come since.

    Args:
        parts: logger, hub and visualizer; what is not known by name is left alone.
        scope: the run's default scope.
    """
    named = [(type(part), part.instance_name) for part in parts if isinstance(part, ManagerMixin)]
    before = [(kind, kind.make_current(name)) for kind, name in named]
    try:
        with DefaultScope.overwrite_default_scope(scope):
            yield
    finally:
        for kind, earlier in before:
            if earlier is not None:
                base = Visualizer if issubclass(kind, Visualizer) else kind
                base.make_current(earlier)


def forget_run(parts: Sequence[Any]) -> None:
    """Lets go of what is known by name for longer than its run lives: log file, trackers and their threads, histories.

    Args:
        parts: logger, hub, visualizer and scope, those that the run made.
    """
    for part in parts:
        for close in ("close_file", "abandon"):
            if hasattr(part, close):
                getattr(part, close)()
        if isinstance(part, ManagerMixin):
            part.release()


def with_local_backend(backends: Any) -> list[Any]:
    """The backends, with a local one behind them where they have none."""
    if backends is None:
        backends = []
    listed = list(backends) if isinstance(backends, Sequence) else [backends]
    types = [backend.get("type") if isinstance(backend, Mapping) else type(backend) for backend in listed]
    names = [cls.rpartition(".")[2] if isinstance(cls, str) else getattr(cls, "__name__", "") for cls in types]
    return listed if "LocalVisBackend" in names else [*listed, {"type": "LocalVisBackend"}]


def build_log_processor(log_processor: Any) -> Any:
    """A log processor from its config, of the default kind without ``type``; an object is given back as it is.

    Raises:
        TypeError: ``log_processor`` is neither.
    """
    if isinstance(log_processor, Mapping) or log_processor is None:
        return LOG_PROCESSORS.build(log_processor or {}, default_args={"type": "LogProcessor"})
    if hasattr(log_processor, "get_log_after_iter"):
        return log_processor
    raise TypeError(f"log_processor must be a LogProcessor or a config, got {type(log_processor).__name__}")


def build_hook(hook: Any) -> tuple[Hook, Any]:
    """A hook from its config, and the ``priority`` that the config names (None where it does not).

    Raises:
        TypeError: ``hook`` is neither a hook nor a config.
    """
    if isinstance(hook, Hook):
        return hook, None
    if not isinstance(hook, Mapping):
        raise TypeError(f"a hook is a Hook or a config of one, got {type(hook).__name__}")
    cfg = own_copy(hook)
    priority = cfg.pop("priority", None)
    built: Hook = HOOKS.build(cfg)
    return built, priority


def with_default_hooks(hooks: Mapping[str, Any] | None) -> dict[str, Any]:
    """The six default hooks, and on a terminal the bar, with the user's in their place; None as a value leaves one out."""
    on_terminal = {"progress_bar": {"type": "ProgressBarHook"}} if can_draw() else {}
    merged: dict[str, Any] = {**DEFAULT_HOOKS, **on_terminal, **(hooks or {})}
    for name, hook in (hooks or {}).items():
        _check_name(name, hook)
    return {name: hook for name, hook in merged.items() if hook is not None}


def _check_name(name: str, hook: Any) -> None:
    """Refuses a slip in the name of a default hook, which would add a second hook of the same class.

    Raises:
        SettingsError: the name is almost that of a default hook of the same class.
    """
    kind = hook.get("type") if isinstance(hook, Mapping) else type(hook)
    class_name = kind.rpartition(".")[2] if isinstance(kind, str) else getattr(kind, "__name__", "")
    for default, cfg in DEFAULT_HOOKS.items():
        is_slip = default not in name and difflib.SequenceMatcher(None, name, default).ratio() > _SLIP
        if is_slip and class_name == cfg["type"]:
            raise SettingsError(
                f"default_hooks.{name} would be a second {class_name} beside default_hooks.{default}; did you mean "
                f"{default!r}? Further hooks belong into custom_hooks"
            )


def hooks_table(hooks: Sequence[Hook]) -> str:
    """Which hooks act at each point, in their order, as text."""
    blocks = []
    for point in POINTS:
        acting = [hook for hook in hooks if overrides(hook, point)]
        if acting:
            names = (f"({priority_name(hook.priority):<12}) {type(hook).__name__}" for hook in acting)
            blocks.append("\n".join([f"{point}:", *names]))
    rule = " -------------------- "
    return f"\n{rule}\n".join(blocks) + f"\n{rule}"


def priority_name(priority: Any) -> str:
    """The name of a priority, or its number."""
    value = get_priority(priority)
    return next((level.name for level in Priority if level.value == value), str(value))


def first_of_kind(hooks: Sequence[Hook], kind: str) -> Hook | None:
    """The first hook of a class by its name; None where there is none."""
    return next((hook for hook in hooks if kind in (cls.__name__ for cls in type(hook).__mro__)), None)


def waiting_for_validation(hooks: Sequence[Hook], schedulers: Any) -> list[str]:
    """Names of the hooks and schedulers that act on metrics of validations.

    Args:
        hooks: the run's hooks.
        schedulers: a list of parameter schedulers, or lists by name; None where there are none.
    """
    groups = schedulers.values() if isinstance(schedulers, Mapping) else [schedulers or ()]
    following = [scheduler for group in groups for scheduler in group if getattr(scheduler, "need_val_args", False)]
    waiting = [hook for hook in hooks if getattr(hook, "needs_validation", False)]
    return [type(part).__name__ for part in (*waiting, *following)]
