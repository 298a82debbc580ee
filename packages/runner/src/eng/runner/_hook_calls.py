"""Hooks of a run: adding them, and calling them at their points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eng.hooks._signatures import check_signatures
from eng.logging.parts import PartClock

from ._facts import RunnerFacts
from .assemble import observers
from .dispatch import Dispatcher, owner_name
from .errors import NonFiniteLossError
from .priority import Priority, get_priority


class HookCalls(RunnerFacts):
    """A run as far as its hooks are concerned."""

    _dispatch: Dispatcher
    _point: str | None
    _afterwards: list[Callable[[], None]]
    part_clock: PartClock | None = None

    def call_around(self, point: str, ahead: Callable[..., None], behind: Callable[..., None]) -> None:
        """Calls ``ahead`` before all hooks of a point and ``behind`` after them, for as long as the run lives."""
        self._dispatch.call_first(point, ahead)
        self._dispatch.call_last(point, behind)

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Calls every hook that acts at the point ``fn_name``, in the order of their priorities.

        If one raises, those behind it are called all the same, so that a checkpoint that is due is written; then the
        exception goes on, with the name of the hook. A run whose losses broke is not saved any more.
        """
        outer, self._point = self._point, fn_name
        listeners = self._dispatch[fn_name]
        try:
            for listener in listeners:
                listener(self, **kwargs)
            if self._afterwards and outer is None:
                self._finish_point()
        except NonFiniteLossError:
            self._afterwards.clear()
            raise
        except Exception as error:
            self._call_the_rest(listeners[listeners.index(listener) + 1 :], kwargs)
            self._finish_point_quietly(outer)
            if hasattr(error, "add_note"):
                error.add_note(f"raised by {owner_name(listener)} at {fn_name}")
            raise
        finally:
            self._point = outer

    call_hooks = call_hook  # the name in the manual

    def _call_the_rest(self, listeners: tuple[Callable[..., None], ...], kwargs: dict[str, Any]) -> None:
        for listener in listeners:
            try:
                listener(self, **kwargs)
            except Exception:
                self.logger.exception("%s failed at %s too", owner_name(listener), self._point)

    def after_this_point(self, action: Callable[[], None]) -> None:
        """Runs ``action`` when all hooks of the current point have run."""
        self._afterwards.append(action)

    def _finish_point_quietly(self, outer: str | None) -> None:
        """Does what hooks have put off, such as saving the best checkpoint, when one of them has raised."""
        try:
            if self._afterwards and outer is None:
                self._finish_point()
        except Exception:
            self.logger.exception("what was to follow %s failed too", self._point)

    def _finish_point(self) -> None:
        if self._point == "after_val_epoch":
            self._point = "end_of_validation"
        while self._afterwards:
            self._afterwards.pop(0)()

    def register_hook(self, hook: Any, priority: str | int | Priority | None = None) -> None:
        """Adds a hook behind those that have the same or a higher priority.

        Args:
            hook: a hook or a config of one, which may name its ``priority``.
            priority: the hook's priority; None (default) takes the config's or the class's.

        Raises:
            TypeError: ``hook`` is neither, or one of its methods cannot be called as the runner calls it.
        """
        built, named = observers.build_hook(hook)
        check_signatures(built)
        chosen = priority if priority is not None else named
        if chosen is not None:
            built.priority = chosen
        place = get_priority(built.priority)
        index = next(
            (i for i, other in enumerate(self._hooks) if get_priority(other.priority) > place), len(self._hooks)
        )
        self._hooks.insert(index, built)
        self._dispatch.forget()

    def register_default_hooks(self, hooks: dict[str, Any] | None = None) -> None:
        """Adds the default hooks, with ``hooks`` in the place of those of the same name."""
        for hook in observers.with_default_hooks(hooks).values():
            self.register_hook(hook)

    def register_custom_hooks(self, hooks: list[Any]) -> None:
        """Adds further hooks."""
        for hook in hooks:
            self.register_hook(hook)

    def register_hooks(
        self, default_hooks: dict[str, Any] | None = None, custom_hooks: list[Any] | None = None
    ) -> None:
        """Adds the default hooks and further ones."""
        self.register_default_hooks(default_hooks)
        self.register_custom_hooks(custom_hooks or [])

    def get_hooks_info(self) -> str:
        """A table of the hooks at each point."""
        return observers.hooks_table(self._hooks)
