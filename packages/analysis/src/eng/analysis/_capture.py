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

# torch has no public name for its dispatch mode, but documents this one in its notes on extending torch.
from torch.utils._python_dispatch import TorchDispatchMode

from eng.analysis._cost import Cost, Rule, tensors_in
from eng.analysis._formulas import FREE
from eng.analysis._sparse import bytes_of
from eng.analysis.errors import FormulaError

ATTENTION = "aten::scaled_dot_product_attention"


@dataclass
class Uncounted:
    """Statistics of an operator without a cost formula.

    Args:
        calls: number of calls.
        elements: number of elements of all its outputs.
    """

    calls: int = 0
    elements: int = 0


@dataclass
class Tally:
    """The counts of one run of a model.

    The name of the root module is ``""``.

    Attributes:
        costs: cost by module and operator.
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
    """Knows in which modules the current operator runs, in the forward and in the backward pass.

    In forward, hooks maintain a stack of running modules. In backward, a module counts as running from the moment a
    gradient of its outputs is available until all gradients of its inputs are.

    Args:
        model: the model.
        by_owner: whether an operator belongs to the running module and the modules that contain it, or to all running
            modules.
    """

    def __init__(self, model: nn.Module, *, by_owner: bool = False) -> None:
        self.names = {module: name for name, module in reversed(list(model.named_modules()))}
        self.by_owner = by_owner
        self.stack: list[str] = []
        self.in_backward: dict[str, None] = {}
        self.called: set[str] = set()

    @property
    def current(self) -> list[str]:
        """Names of the modules to which an operator that runs now belongs, the root first."""
        running = ["", *self.stack, *self.in_backward]
        if self.by_owner:
            running = [owner for name in (*self.stack[-1:], *self.in_backward) for owner in _owners(name)] or [""]
        return list(dict.fromkeys(running))

    @contextmanager
    def watch(self) -> Iterator[None]:
        handles = []
        for module in self.names:
            # Submodules of a ScriptModule do not support hooks, so it is counted as part of the module around it.
            if isinstance(module, torch.jit.ScriptModule):
                continue
            handles.append(module.register_forward_pre_hook(self._enter))
            # `always_call` keeps the stack correct if a forward catches the exception of a submodule.
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
        watched = [tensor for tensor in tensors_in(value) if tensor.requires_grad] if torch.is_grad_enabled() else []
        if watched:
            torch.autograd.graph.register_multi_grad_hook(watched, _ignoring_gradients(action), mode=mode)


def _owners(name: str) -> list[str]:
    """Returns the names of the modules that contain a module, the root first, followed by its own name.

    Example:
        >>> _owners("backbone.layer1")
        ['', 'backbone', 'backbone.layer1']
    """
    parts = name.split(".") if name else []
    return ["", *(".".join(parts[: end + 1]) for end in range(len(parts)))]


def _ignoring_gradients(action: Callable[[], object]) -> Callable[[Any], None]:
    def hook(_: Any) -> None:
        action()

    return hook


class OperatorCounter(TorchDispatchMode):
    """Dispatch mode that adds the cost of every operator that runs to a tally."""

    supports_higher_order_operators = True  # flex_attention is a higher-order operator.

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
    """Counts attention at the call of ``scaled_dot_product_attention``, so that every kernel gives the same numbers.

    The operators of the kernel itself are not counted.
    """

    def __init__(self, counter: OperatorCounter) -> None:
        super().__init__()
        self.counter = counter

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
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
    """Counts the operators that run inside the ``with`` block; yields the counter, whose `tally` has the results."""
    tracker = ModuleTracker(model, by_owner=by_owner)
    counter = OperatorCounter(rules, tracker)
    with tracker.watch(), counter, AttentionCounter(counter):
        yield counter
