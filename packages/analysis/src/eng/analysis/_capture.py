"""What really ran: a dispatch mode that sees every operator, and the module in which it ran."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# torch offers its dispatch mode under this name only; it is documented in torch's own notes on extending.
from torch.utils._python_dispatch import TorchDispatchMode

from eng.analysis._cost import Cost, Rule, tensors_in
from eng.analysis._formulas import FREE
from eng.analysis._sparse import bytes_of
from eng.analysis.errors import FormulaError

ATTENTION = "aten::scaled_dot_product_attention"


@dataclass
class Uncounted:
    """An operator without a formula.

    Args:
        calls: how often it ran.
        elements: elements of all its outputs.
    """

    calls: int = 0
    elements: int = 0


@dataclass
class Tally:
    """Sums over one run, by module and operator. The root module's name is ``""``."""

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
    """Names of the modules in which the current operator runs, in forward and in backward.

    Forward hooks keep a stack. In backward, a module is entered when the first gradient of its outputs is there and left
    when those of its inputs are.
    """

    def __init__(self, model: nn.Module, *, by_owner: bool = False) -> None:
        self.names = {module: name for name, module in reversed(list(model.named_modules()))}
        self.by_owner = by_owner
        self.stack: list[str] = []
        self.in_backward: dict[str, None] = {}
        self.called: set[str] = set()

    @property
    def current(self) -> list[str]:
        """Each name once, the root first."""
        running = ["", *self.stack, *self.in_backward]
        if self.by_owner:
            running = [owner for name in (*self.stack[-1:], *self.in_backward) for owner in _owners(name)] or [""]
        return list(dict.fromkeys(running))

    @contextmanager
    def watch(self) -> Iterator[None]:
        handles = []
        for module in self.names:
            if isinstance(module, torch.jit.ScriptModule):  # its submodules take no hooks: it counts as one
                continue
            handles.append(module.register_forward_pre_hook(self._enter))
            # Always: a forward may catch the error of a part and go on with another one.
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
    """The names of the modules that contain a module, the root first, and its own.

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
    """Adds every operator that runs to a tally."""

    supports_higher_order_operators = True  # flex_attention is one

    def __init__(self, rules: Mapping[str, Rule], tracker: ModuleTracker) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the base, torch's, has no annotations
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
    """Counts attention where it is called, so that every backend below it gives the same numbers."""

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
    """Counts what runs inside; the tally is on what it gives."""
    tracker = ModuleTracker(model, by_owner=by_owner)
    counter = OperatorCounter(rules, tracker)
    with tracker.watch(), counter, AttentionCounter(counter):
        yield counter
