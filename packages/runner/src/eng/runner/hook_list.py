"""HookList: holds the hooks of a run in the order of their priorities, and calls them at their points."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from time import perf_counter
from typing import Any, TypeVar

from eng.hooks import Hook
from eng.hooks._signatures import check_signatures
from eng.hooks.errors import NonFiniteLossError
from eng.hooks.hook import POINTS, overrides
from eng.hooks.view import RunnerView
from eng.logging.notes import add_note
from eng.logging.parts import PartClock

from .priority import Priority, get_priority, priority_name

Method = Callable[..., None]
H = TypeVar("H")


class HookList:
    """Holds hooks in the order of their priorities; :meth:`call` calls those that act at a point.

    Args:
        logger: logger for the second and further errors of hooks at one hook point; the first error is raised.

    Attributes:
        point: the hook point whose hooks are being called, such as ``"after_train_iter"``; None between two points.
        part_clock: clock that measures how long the parts of an iteration take, such as loading data; None if no hook
            measures this.
        began: time of ``time.perf_counter`` at which the hooks of the latest point began.
        ended: time of ``time.perf_counter`` at which all hooks of a point had been called, for the latest such point.

    Example:
        >>> class Greet(Hook):
        ...     def before_run(self, runner):
        ...         print("hello", runner)
        >>> hooks = HookList(logging.getLogger("eng"))
        >>> hooks.register(Greet())
        >>> hooks.call("before_run", "world")
        hello world
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.point: str | None = None
        self._has_begun = False
        self.hooks: list[Hook] = []
        self._methods: dict[str, tuple[Method, ...]] = {}
        self.part_clock: PartClock | None = None
        self._parts: Mapping[str, tuple[int, int]] = {}
        self.began = self.ended = perf_counter()
        self._actions: list[Callable[[], None]] = []

    def __iter__(self) -> Iterator[Hook]:
        return iter(self.hooks)

    def __len__(self) -> int:
        return len(self.hooks)

    def register(self, hook: Hook, priority: str | int | Priority | None = None) -> None:
        """Adds a hook, which runs after the hooks that have the same or a higher priority.

        Args:
            hook: the hook.
            priority: None (default) is the hook's own priority.

        Raises:
            TypeError: a method of the hook does not take the arguments that :meth:`call` passes at its point.
        """
        check_signatures(hook)
        if priority is not None:
            hook.priority = priority
        rank = get_priority(hook.priority)
        index = sum(get_priority(registered.priority) <= rank for registered in self.hooks)
        self.hooks.insert(index, hook)
        self._methods.clear()

    def charge(self, clock: PartClock, parts: Mapping[str, tuple[int, int]]) -> None:
        """Makes a clock measure how long the parts of an iteration take; it replaces an earlier clock.

        Args:
            clock: clock that is switched from one part to another at each of the hook points.
            parts: maps each hook point to two parts: the one that begins before its hooks, and the one that begins
                after.
        """
        self.part_clock, self._parts = clock, parts

    def first(self, hook_class: type[H]) -> H | None:
        """Returns the first hook that is an instance of a class or runtime-checkable Protocol; None without one."""
        return next((hook for hook in self.hooks if isinstance(hook, hook_class)), None)

    def methods_at(self, point: str) -> tuple[Method, ...]:
        """Returns the bound methods to call at ``point``; the tuple is cached until another hook is registered."""
        if point not in self._methods:
            self._methods[point] = tuple(getattr(hook, point) for hook in self.hooks if acts_at(hook, point))
        return self._methods[point]

    def call(self, point: str, runner: RunnerView, /, **kwargs: Any) -> None:
        """Calls every hook that acts at ``point``, then the actions registered by :meth:`after_point`.

        If a hook raises, the hooks after it are still called, so that a checkpoint that is due is written; then the
        exception is raised with the hook's name in a note. After a NonFiniteLossError no further hook is called,
        because a checkpoint would hold the broken weights.
        """
        outer, self.point = self.point, point
        if point == "before_run":
            self._has_begun = True
        methods = self._methods.get(point) or self.methods_at(point)
        clock, parts = self.part_clock, self._parts.get(point)
        call_each = _CALLS_OF_ITERATIONS.get(point, _call_each)
        waiting = iter(methods)
        has_called_all = False
        self.began = now = perf_counter()
        try:
            if clock is not None and parts is not None:
                clock.switch(parts[0], now)
            call_each(waiting, runner, **kwargs)
            has_called_all = True
            if self._actions and outer is None:
                self._act()
            self.ended = now = perf_counter()
            if clock is not None and parts is not None:
                clock.switch(parts[1], now)
        except NonFiniteLossError:
            self._actions.clear()
            raise
        except Exception as error:
            rest = tuple(waiting)
            if len(rest) < len(methods) and not has_called_all:
                add_note(error, f"raised by {owner_name(methods[-1 - len(rest)])} at {point}")
            self._call_quietly(rest, runner, kwargs)
            if outer is None:
                self._act_quietly()
            raise
        finally:
            self.point = outer

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Enters the hooks that are context managers while the run lasts."""
        self._has_begun = False
        with ExitStack() as stack:
            for hook in self.hooks:
                if isinstance(hook, AbstractContextManager):
                    stack.enter_context(hook)
            yield

    def close(self, runner: RunnerView) -> None:
        """Calls ``after_run`` of every hook of a run that has failed; an error in there is logged, not raised.

        For a run that failed before ``before_run`` only the visualizer is closed, which has been open since the start.
        """
        self._actions.clear()
        self.point = None
        if self._has_begun:
            self._call_quietly(self.methods_at("after_run"), runner, {}, "after_run")
        else:
            self._call_quietly((_close_visualizer,), runner, {}, "the end of a run that did not begin")

    def after_point(self, action: Callable[[], None]) -> None:
        """Calls ``action`` once, when all hooks of the current point have run."""
        self._actions.append(action)

    def table(self) -> str:
        """Returns a text that lists, for each point, the hooks that act there in the order of their calls."""
        blocks = []
        for point in POINTS:
            acting = [hook for hook in self.hooks if overrides(hook, point)]
            if acting:
                names = (f"({priority_name(hook.priority):<12}) {type(hook).__name__}" for hook in acting)
                blocks.append("\n".join([f"{point}:", *names]))
        rule = " -------------------- "
        return f"\n{rule}\n".join(blocks) + f"\n{rule}"

    def _call_quietly(
        self, methods: tuple[Method, ...], runner: RunnerView, kwargs: dict[str, Any], point: str | None = None
    ) -> None:
        for method in methods:
            try:
                method(runner, **kwargs)
            except Exception:
                self.logger.exception("%s failed at %s", owner_name(method), point or f"{self.point} too")

    def _act(self) -> None:
        if self.point == "after_val_epoch":
            self.point = "end_of_validation"
        while self._actions:
            self._actions.pop(0)()

    def _act_quietly(self) -> None:
        """After a hook has raised, calls the actions registered by :meth:`after_point`, and logs their errors."""
        try:
            self._act()
        except Exception:
            self.logger.exception("what was to follow %s failed too", self.point)


def _call_each(methods: Iterator[Method], runner: RunnerView, **kwargs: Any) -> None:
    for method in methods:
        method(runner, **kwargs)


def _call_before_iter(methods: Iterator[Method], runner: RunnerView, batch_idx: int, data_batch: Any = None) -> None:
    for method in methods:
        method(runner, batch_idx=batch_idx, data_batch=data_batch)


def _call_after_iter(
    methods: Iterator[Method], runner: RunnerView, batch_idx: int, data_batch: Any = None, outputs: Any = None
) -> None:
    for method in methods:
        method(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs)


# The points of an iteration name their arguments: a call with `**kwargs` takes Python 2 to 3 times as long, for each hook.
_CALLS_OF_ITERATIONS: dict[str, Callable[..., None]] = {
    "before_train_iter": _call_before_iter,
    "before_val_iter": _call_before_iter,
    "before_test_iter": _call_before_iter,
    "after_train_iter": _call_after_iter,
    "after_val_iter": _call_after_iter,
    "after_test_iter": _call_after_iter,
}


def acts_at(hook: Hook, point: str) -> bool:
    """Whether a hook overrides the method of a hook point; for a point unknown to eng, whether it has the method."""
    if point in POINTS:
        return overrides(hook, point)
    return callable(getattr(hook, point, None))


def _close_visualizer(runner: RunnerView) -> None:
    runner.visualizer.close()


def owner_name(method: Method) -> str:
    """Returns the class name of a method's object, or the name of a function, for messages."""
    if inspect.ismethod(method):
        return type(method.__self__).__name__
    if inspect.isfunction(method):
        return method.__qualname__
    return repr(method)
