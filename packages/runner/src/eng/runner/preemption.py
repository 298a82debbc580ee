"""The former module path of :class:`eng.hooks.preemption.Preemption`, under which libraries still import it."""

from eng.hooks.preemption import TIME_BUDGET_EXIT_CODE, Preemption

__all__ = ["TIME_BUDGET_EXIT_CODE", "Preemption"]
