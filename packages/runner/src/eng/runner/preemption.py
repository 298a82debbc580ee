"""The place where :class:`Preemption` was before its hook."""

from eng.hooks.preemption import TIME_BUDGET_EXIT_CODE, Preemption

__all__ = ["TIME_BUDGET_EXIT_CODE", "Preemption"]
