"""Counts every operator that runs by a torch dispatch mode, together with the module in which it runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# TorchDispatchMode has no public name, but torch documents this private module in its notes on extending torch.
from torch.utils._python_dispatch import TorchDispatchMode

from eng.analysis._cost import Cost, Rule, tensors_in
from eng.analysis._formulas import FREE
from eng.analysis._sparse import bytes_of
from eng.analysis.errors import FormulaError

ATTENTION = "aten::scaled_dot_product_attention"


@dataclass
class Uncounted:
    """How often a model called an operator for which eng has no cost formula, and how large its outputs were.

    Args:
        calls: number of calls of the operator.
        elements: number of elements of all outputs of these calls.
    """

    calls: int = 0
    elements: int = 0


@dataclass
class Tally:
    """What was counted during one forward (and backward) of a model, by name of the module.

    The name of the model itself is ``""``.

    Attributes:
        costs: number of arithmetic operations (`Cost`) by module and operator.
        activations: number of activations by module and operator.
        moved_bytes: bytes that operators read and wrote, by module.
        uncounted: statistics of operators without a cost formula, by module and operator.
        called: names of the modules that ran.
        elements: number of elements of the outputs of all operators.
    """

    costs: dict[str, dict[str, Cost]] = field(default_factory=lambda: defaultdict(dict))
    activations: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    moved_bytes: Counter[str] = field(default_factory=Counter)
    uncounted: dict[str, dict[str, Uncounted]] = field(default_factory=lambda: defaultdict(dict))
    called: set[str] = field(default_factory=set)
    elements: int = 0

    def add(self, modules: Sequence[str], operator: str, cost: Cost, activations: int) -> None:
        for module in modules:
            self.costs[module][operator] = self.costs[module].get(operator, Cost()).plus(cost)
            if activations:
                self.activations[module][operator] += activations

    def add_uncounted(self, modules: Sequence[str], operator: str, elements: int) -> None:
        for module in modules:
            entry = self.uncounted[module].setdefault(operator, Uncounted())
            entry.calls += 1
            entry.elements += elements


class ModuleTracker:
    """Records which modules of a model are running, so that the cost of an operator can be added to these modules.

    In the forward pass, hooks maintain a stack of running modules. In the backward pass, a module counts as running
    from the moment a gradient of one of its outputs is available until the gradients of all its inputs are available.

    Args:
        model: the model.
        by_owner: True assigns an operator to the innermost running module and to the modules that contain this module
            by name; False assigns an operator to all running modules.
    """

    def __init__(self, model: nn.Module, *, by_owner: bool = False) -> None:
        self.names = {module: name for name, module in reversed(list(model.named_modules()))}
        self.by_owner = by_owner
        self.stack: list[str] = []
        self.in_backward: dict[str, None] = {}
        self.called: set[str] = set()

    @property
    def current(self) -> list[str]:
        """Names of the modules to which the cost of an operator that runs now is added, the model (``""``) first."""
        running = ["", *self.stack, *self.in_backward]
        if self.by_owner:
            running = [owner for name in (*self.stack[-1:], *self.in_backward) for owner in _owners(name)] or [""]
        return list(dict.fromkeys(running))

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Records which modules of the model are running, by hooks on all modules, until the ``with`` block ends."""
        handles = []
        for module in self.names:
            # Submodules of a ScriptModule do not support hooks, so operators of a ScriptModule are counted for the
            # module that contains the ScriptModule.
            if isinstance(module, torch.jit.ScriptModule):
                continue
            handles.append(module.register_forward_pre_hook(self._enter))
            # With `always_call` the hook also runs if the forward of the module raises an exception. If the calling
            # module catches the exception, the stack of running modules is then still correct.
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, args: Any) -> None:
        name = self.names[module]
        self.stack.append(name)
        self.called.add(name)
        self._on_gradients(args, "all", lambda: self.in_backward.pop(name, None))

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        name = self.stack.pop()
        self._on_gradients(output, "any", lambda: self.in_backward.__setitem__(name, None))

    def _on_gradients(self, value: Any, mode: Any, action: Callable[[], object]) -> None:
        """Calls `action` in the backward pass when the gradients of the tensors inside `value` are available.

        With ``mode="all"`` the gradients of all these tensors must be available, with ``mode="any"`` that of one of
        them.
        """
        watched = [tensor for tensor in tensors_in(value) if tensor.requires_grad] if torch.is_grad_enabled() else []
        if watched:
            torch.autograd.graph.register_multi_grad_hook(watched, _ignoring_gradients(action), mode=mode)


def _owners(name: str) -> list[str]:
    """Returns the names of all modules that contain a module, the complete model (``""``) first, and the name itself.

    Example:
        >>> _owners("backbone.layer1")
        ['', 'backbone', 'backbone.layer1']
    """
    parts = name.split(".") if name else []
    return ["", *(".".join(parts[: end + 1]) for end in range(len(parts)))]


def _ignoring_gradients(action: Callable[[], object]) -> Callable[[Any], None]:
    """Returns a hook for gradients that ignores its arguments and calls `action`."""

    def hook(_: Any) -> None:
        action()

    return hook


class OperatorCounter(TorchDispatchMode):
    """Dispatch mode (torch calls it for every operator) that adds the cost of each operator to a `Tally`."""

    # torch passes flex_attention to a dispatch mode only with this attribute: flex_attention is a higher-order
    # operator, one that takes functions as arguments.
    supports_higher_order_operators = True

    def __init__(self, rules: Mapping[str, Rule], tracker: ModuleTracker) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's base class has no annotations
        self.rules = rules
        self.tracker = tracker
        self.tally = Tally(called=tracker.called)
        self.muted = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.muted:
            self.count(func.name().split(".")[0], args, kwargs or {}, result, is_view=getattr(func, "is_view", False))
        return result

    def count(self, operator: str, args: Any, kwargs: Any, result: Any, *, is_view: bool = False) -> None:
        """Adds the cost of one call of an operator to the tally, for each module to which the operator is assigned.

        An operator without a cost formula is recorded as uncounted; it is ignored if it only creates a view, moves data
        or allocates memory.

        Args:
            operator: name of the operator, such as ``"aten::addmm"``; an in-place operator (``"aten::add_"``) is
                counted like the operator without the underscore.
            args: positional arguments of the call.
            kwargs: keyword arguments of the call.
            result: what the operator returned.
            is_view: whether the operator returns a view of its input.
        """
        rule = self.rules.get(operator) or self.rules.get(operator.removesuffix("_"))
        if rule is None and (is_view or operator in FREE):
            return
        modules, outputs = self.tracker.current, tensors_in(result)
        elements = sum(tensor.numel() for tensor in outputs)
        self.tally.elements += elements
        moved = sum(bytes_of(tensor) for tensor in (*tensors_in((args, kwargs)), *outputs))
        for module in modules:
            self.tally.moved_bytes[module] += moved
        if rule is None:
            self.tally.add_uncounted(modules, operator, elements)
            return
        activations = outputs[0].numel() if rule.activates and outputs else 0
        self.tally.add(modules, operator, self._cost(rule, operator, args, kwargs, outputs), activations)

    def _cost(self, rule: Rule, operator: str, args: Any, kwargs: Any, outputs: Any) -> Cost:
        try:
            return rule.formula(args, kwargs, outputs)
        except (TypeError, ValueError, IndexError, AttributeError, KeyError) as error:
            shapes = [tuple(tensor.shape) for tensor in tensors_in(args)]
            raise FormulaError(operator, f"{error} (argument shapes {shapes})") from error


class AttentionCounter(TorchFunctionMode):
    """Counts the cost of attention when ``scaled_dot_product_attention`` is called, whichever kernel torch chooses.

    The operators that run inside the call are not counted, because they differ between kernels and devices.
    """

    def __init__(self, counter: OperatorCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called by torch in place of each torch function; counts a call of attention as one operator.

        While the attention runs, `muted` is above 0, so that the operator counter ignores the operators of the kernel.
        """
        kwargs = kwargs or {}
        if func is not nn.functional.scaled_dot_product_attention or self.counter.muted:
            return func(*args, **kwargs)
        self.counter.muted += 1
        try:
            result = func(*args, **kwargs)
        finally:
            self.counter.muted -= 1
        self.counter.count(ATTENTION, args, kwargs, result)
        return result


@contextmanager
def counting(model: nn.Module, rules: Mapping[str, Rule], *, by_owner: bool = False) -> Iterator[OperatorCounter]:
    """Counts the operators that run inside the ``with`` block; yields the counter, whose `tally` holds the counts.

    Args:
        model: the model whose modules the operators are assigned to.
        rules: how each operator is counted, by name of the operator.
        by_owner: see `ModuleTracker`.
    """
    tracker = ModuleTracker(model, by_owner=by_owner)
    counter = OperatorCounter(rules, tracker)
    with tracker.watch(), counter, AttentionCounter(counter):
        yield counter
