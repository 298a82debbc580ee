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
        began: time of ``time.perf_counter`` just before the first hook of the latest hook point was called. A hook
            point that is called inside another one does not count.
        ended: time of ``time.perf_counter`` just after the last hook was called, at the latest hook point whose hooks
            have all been called without an error; hook points inside others do not count.

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
            priority: priority of the hook; None (default) uses the hook's own.

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
        """Makes a clock measure how long the parts of an iteration take, such as loading data.

        A clock of an earlier call is replaced.

        Args:
            clock: clock that is switched from one part to another at each hook point in ``parts``.
            parts: by hook point, the numbers of two parts: the first part begins before the hooks of the point are
                called, the second one after they were called.
        """
        self.part_clock, self._parts = clock, parts

    def first(self, hook_class: type[H]) -> H | None:
        """Returns the first hook that is an instance of a class or runtime-checkable Protocol; None without one."""
        return next((hook for hook in self.hooks if isinstance(hook, hook_class)), None)

    def methods_at(self, point: str) -> tuple[Method, ...]:
        """Returns the bound methods to call at the hook point ``point``, in the order of their calls.

        The tuple is cached until another hook is registered.
        """
        if point not in self._methods:
            self._methods[point] = tuple(getattr(hook, point) for hook in self.hooks if acts_at(hook, point))
        return self._methods[point]

    def call(self, point: str, runner: RunnerView, /, **kwargs: Any) -> None:
        """Calls every hook that acts at the hook point ``point``, then the actions registered by :meth:`after_point`.

        If a hook itself calls the hooks of another hook point, the actions wait for the end of the outer hook point.

        If a hook raises, the hooks after it are still called, so that a checkpoint that is due is written; then the
        exception is raised with the hook's name in a note. After a NonFiniteLossError no further hook is called,
        because a checkpoint would hold the broken weights.
        """
        outer, self.point = self.point, point
        outer_times = self.began, self.ended
        if point == "before_run":
            self._has_begun = True
        methods = self._methods.get(point) or self.methods_at(point)
        clock, parts = self.part_clock, self._parts.get(point)
        done = 0
        self.began = perf_counter()
        try:
            if clock is not None and parts is not None:
                clock.switch(parts[0])
            for method in methods:
                method(runner, **kwargs)
                done += 1
            if self._actions and outer is None:
                self._act()
            self.ended = perf_counter()
            if clock is not None and parts is not None:
                clock.switch(parts[1])
        except NonFiniteLossError:
            self._actions.clear()
            raise
        except Exception as error:
            if done < len(methods):
                add_note(error, f"raised by {owner_name(methods[done])} at {point}")
            self._call_quietly(methods[done + 1 :], runner, kwargs)
            if outer is None:
                self._act_quietly()
            raise
        finally:
            self.point = outer
            if outer is not None:
                self.began, self.ended = outer_times

    @contextmanager
    def opened(self) -> Iterator[None]:
        """A context for a run: enters all hooks that are context managers, and leaves them at the end of the run."""
        self._has_begun = False
        with ExitStack() as stack:
            for hook in self.hooks:
                if isinstance(hook, AbstractContextManager):
                    stack.enter_context(hook)
            yield

    def close(self, runner: RunnerView) -> None:
        """Calls ``after_run`` of every hook of a run that has failed; errors of these calls are logged, not raised.

        If the run failed before the hook point ``before_run``, no hook is called: only the visualizer is closed, which
        has been open since the Runner was built.
        """
        self._actions.clear()
        self.point = None
        if self._has_begun:
            self._call_quietly(self.methods_at("after_run"), runner, {}, "after_run")
        else:
            self._call_quietly((_close_visualizer,), runner, {}, "the end of a run that did not begin")

    def after_point(self, action: Callable[[], None]) -> None:
        """Calls ``action`` once, when all hooks of the current hook point have run."""
        self._actions.append(action)

    def table(self) -> str:
        """Returns a text that lists, for each hook point, the hooks that act there in the order of their calls."""
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
        """Calls the methods of hooks after an error; a further error is logged and does not stop the calls after it.

        Args:
            methods: the bound methods.
            runner: first argument of each method.
            kwargs: further arguments of each method.
            point: name of the hook point for the log; None uses the hook point that is being called.
        """
        for method in methods:
            try:
                method(runner, **kwargs)
            except Exception:
                self.logger.exception("%s failed at %s", owner_name(method), point or f"{self.point} too")

    def _act(self) -> None:
        """Calls the actions registered by :meth:`after_point`, and removes them.

        After ``after_val_epoch`` the hook point is ``"end_of_validation"`` meanwhile, so that a checkpoint that an
        action saves counts the validation as completed.
        """
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
