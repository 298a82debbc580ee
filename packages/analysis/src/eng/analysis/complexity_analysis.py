"""Analyzers: what a forward, or a training step, costs, by module and by operator."""

from __future__ import annotations

import copy
import difflib
import logging
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from eng.analysis._capture import Tally, Uncounted, counting
from eng.analysis._cost import Cost, Rule
from eng.analysis._execute import observe, unwrapped
from eng.analysis._formulas import RULES

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

#: A user's handle: inputs and outputs of an operator -> its flops (a number, or a Counter of them).
Handle = Callable[[list[Any], list[Any]], Any]
Convention = Literal["macs", "flops"]


class ModelAnalysis(ABC):
    """Counts of one run of a model, made when first asked for.

    Counting is by dispatch: every operator that really runs is seen, so any control flow and any forward signature
    works. The run is on meta tensors, which need neither memory nor weights; a forward that needs values runs on
    the real ones.

    Args:
        model: the module; wrappers of `DataParallel` and `torch.compile` are taken off.
        inputs: a tensor (one argument), a tuple (positional arguments) or a dict (keyword arguments).
        forward_kwargs: further keyword arguments of the forward.
        backward: count forward and backward (from the sum of all outputs).
        convention: ``"macs"`` takes a multiply-add for one, as MMEngine does; ``"flops"`` for two, as vendors do.

    Raises:
        TypeError: `model` is no module.
        ValueError: an unknown convention.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: torch.Tensor | tuple[Any, ...] | Mapping[str, Any],
        *,
        forward_kwargs: Mapping[str, Any] | None = None,
        backward: bool = False,
        convention: Convention = "macs",
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}: {model!r:.80}")
        if convention not in ("macs", "flops"):
            raise ValueError(f"convention must be 'macs' or 'flops', not {convention!r}")
        self.model = unwrapped(model)
        self.args, self.kwargs = split_inputs(inputs, forward_kwargs)
        self.backward = backward
        self.convention = convention
        self._known: Mapping[str, Rule] = RULES
        self._handles: dict[str, Handle | None] = {}
        self._tally: Tally | None = None
        self._warns_of_operators = self._warns_of_modules = False
        self._ancestors = "owner"

    @property
    def tally(self) -> Tally:
        """The sums of the run, which happens at the first look."""
        if self._tally is None:
            counter = observe(
                self.model,
                self.args,
                self.kwargs,
                lambda model: counting(model, self._rules(), by_owner=self._ancestors == "owner"),
                backward=self.backward,
            )
            self._tally = counter.tally
            self._warn()
        return self._tally

    def set_op_handle(self, *args: str | Handle | None, **kwargs: Handle | None) -> ModelAnalysis:
        """Counts operators by the user's handles, or ignores those whose handle is None.

        Args:
            *args: name, handle, name, handle, … with names as ``"aten::gelu"``. A handle gets the operator's inputs and
                outputs (tensors and numbers) and gives its flops.
            **kwargs: the same by keyword.

        Raises:
            TypeError: the positional arguments are no pairs.

        Example:
            >>> import torch
            >>> from torch import nn
            >>> analyzer = FlopAnalyzer(nn.GELU(), torch.zeros(2, 3))
            >>> analyzer.set_op_handle("aten::gelu", lambda inputs, outputs: 8 * outputs[0].numel()).total()
            48
        """
        if len(args) % 2 or not all(isinstance(name, str) for name in args[::2]):
            raise TypeError("set_op_handle takes pairs: a name such as 'aten::gelu', then a handle or None")
        self._handles.update(zip(args[::2], args[1::2], strict=True), **kwargs)  # type: ignore[arg-type]  # checked above
        self._tally = None
        return self

    def clear_op_handles(self) -> ModelAnalysis:
        """Forgets all handles, eng's own too: every operator is then uncounted until it gets a handle."""
        self._known, self._handles, self._tally = {}, {}, None
        return self

    def total(self, module_name: str = "") -> int:
        """Sum over a module and everything below it; ``""`` is the whole model."""
        return sum(self.by_operator(module_name).values())

    def by_operator(self, module_name: str = "") -> Counter[str]:
        """Counts of one module by operator, such as ``{"convolution": 17280}``."""
        self._must_exist(module_name)
        return self._counts(module_name)

    def by_module(self) -> Counter[str]:
        """Total of every module, by its name."""
        return Counter({name: self.total(name) for name in self._names()})

    def by_module_and_operator(self) -> dict[str, Counter[str]]:
        """Counts of every module by operator."""
        return {name: self._counts(name) for name in self._names()}

    def unsupported_ops(self, module_name: str = "") -> Counter[str]:
        """Operators without a formula, and how often each ran in a module."""
        return Counter({name: entry.calls for name, entry in self.uncounted(module_name).items()})

    def uncounted(self, module_name: str = "") -> dict[str, Uncounted]:
        """Operators without a formula: how often each ran, and how many elements its outputs had."""
        self._must_exist(module_name)
        ignored = {name for name, handle in self._handles.items() if handle is None}
        return {name: entry for name, entry in self.tally.uncounted[module_name].items() if name not in ignored}

    def uncalled_modules(self) -> set[str]:
        """Names of modules that never ran."""
        return {name for name in self._names() if name not in self.tally.called}

    def canonical_module_name(self, name: str) -> str:
        """The name under which a module is counted: its first one, where it has several.

        Raises:
            KeyError: the model has no such module.
        """
        for module_name, module in self.model.named_modules(remove_duplicate=False):
            if module_name == name:
                return next(str(first) for first, known in self.model.named_modules() if known is module)
        self._must_exist(name)
        return name

    def copy(
        self,
        new_model: nn.Module | None = None,
        new_inputs: torch.Tensor | tuple[Any, ...] | Mapping[str, Any] | None = None,
    ) -> Self:
        """An analyzer with the same settings and handles.

        Args:
            new_model: None takes this one's model.
            new_inputs: None takes this one's inputs.
        """
        analyzer = copy.copy(self)
        analyzer.model = self.model if new_model is None else unwrapped(new_model)
        if new_inputs is not None:
            analyzer.args, analyzer.kwargs = split_inputs(new_inputs)
        analyzer._handles, analyzer._tally = dict(self._handles), None  # noqa: SLF001  # an object of the same class
        return analyzer

    def unsupported_ops_warnings(self, enabled: bool) -> Self:
        """Whether a run logs a warning for the operators that have no formula; off at first. Gives itself."""
        self._warns_of_operators = enabled
        return self

    def uncalled_modules_warnings(self, enabled: bool) -> Self:
        """Whether a run logs a warning for the modules that never ran; off at first. Gives itself."""
        self._warns_of_modules = enabled
        return self

    def tracer_warnings(self, mode: str) -> Self:
        """Accepted for code that was written for MMEngine; nothing is traced here, so nothing warns. Gives itself.

        Raises:
            ValueError: `mode` is none of ``"all"``, ``"no_tracer_warning"`` and ``"none"``.
        """
        modes = ("all", "no_tracer_warning", "none")
        if mode not in modes:
            raise ValueError(f"the mode of tracer warnings should be one of {modes}, got {mode!r}")
        return self

    def ancestor_mode(self, mode: str) -> Self:
        """Which modules an operator belongs to; gives itself.

        Args:
            mode: ``"owner"``, the default: the module that is running and all that contain it; ``"caller"``: the modules
                that are running. They differ where a module runs a module that it does not contain.

        Raises:
            ValueError: `mode` is neither.
        """
        if mode not in ("owner", "caller"):
            raise ValueError(f"ancestor_mode should be 'owner' or 'caller', got {mode!r}")
        self._ancestors, self._tally = mode, None
        return self

    def _warn(self) -> None:
        if self._warns_of_operators:
            for name, calls in sorted(self.unsupported_ops().items()):
                logger.warning("Unsupported operator %s encountered %d time(s)", name, calls)
        if self._warns_of_modules and (names := sorted(self.uncalled_modules())):
            logger.warning("modules that never ran, so that their counts are zero: %s", ", ".join(names))

    def _names(self) -> list[str]:
        return [name for name, _ in self.model.named_modules()]

    def _must_exist(self, module_name: str) -> None:
        names = self._names()
        if module_name not in names:
            nearest = difflib.get_close_matches(module_name, names, 3)
            raise KeyError(
                f"the model has no module {module_name!r}" + (f"; did you mean {nearest}?" if nearest else "")
            )

    @abstractmethod
    def _counts(self, module_name: str) -> Counter[str]:
        """Counts of one module by operator."""

    def _rules(self) -> dict[str, Rule]:
        rules = dict(self._known)
        for name, handle in self._handles.items():
            if handle is None:
                rules.pop(name, None)
            else:
                rules[name] = Rule(_formula_of(handle), activates=True)
        return rules


def _formula_of(handle: Handle) -> Callable[[Sequence[Any], Mapping[str, Any], Sequence[Any]], Cost]:
    def formula(args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any]) -> Cost:
        counted = handle([*args, *kwargs.values()], list(outputs))
        return Cost(other=int(sum(counted.values()) if isinstance(counted, Mapping) else counted))

    return formula


def split_inputs(
    inputs: torch.Tensor | tuple[Any, ...] | Mapping[str, Any], forward_kwargs: Mapping[str, Any] | None = None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of a forward, from a tensor, a tuple or a dict."""
    if isinstance(inputs, Mapping):
        return (), {**inputs, **(forward_kwargs or {})}
    return (tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)), dict(forward_kwargs or {})


class FlopAnalyzer(ModelAnalysis):
    """Flops of a model for one input.

    Arguments as of `ModelAnalysis`.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> flops = FlopAnalyzer(nn.Conv2d(3, 10, 3), torch.zeros(1, 3, 10, 10))
        >>> flops.total()  # 10 * 8 * 8 outputs, each of 3 * 3 * 3 multiply-adds
        17280
        >>> flops.by_operator()
        Counter({'convolution': 17280})
    """

    def _counts(self, module_name: str) -> Counter[str]:
        costs = self.tally.costs[module_name]
        return Counter({name.removeprefix("aten::"): cost.flops(self.convention) for name, cost in costs.items()})

    def intensity(self, module_name: str = "") -> float:
        """Flops per byte that the operators of a module read and wrote: low values are bound by memory."""
        self._must_exist(module_name)
        return self.total(module_name) / max(self.tally.moved_bytes[module_name], 1)


class ActivationAnalyzer(ModelAnalysis):
    """Elements of the outputs of convolutions, matrix products and attention.

    Arguments as of `ModelAnalysis`.

    Source: Radosavovic et al. 2020, arXiv:2003.13678, section 3.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> ActivationAnalyzer(nn.Conv2d(3, 10, 3), torch.zeros(1, 3, 10, 10)).total()
        640
    """

    def _counts(self, module_name: str) -> Counter[str]:
        counts = self.tally.activations[module_name]
        return Counter({name.removeprefix("aten::"): count for name, count in counts.items()})

    @classmethod
    def of(cls, flops: FlopAnalyzer) -> ActivationAnalyzer:
        """The activations of a run that was counted already."""
        analyzer = cls(flops.model, flops.kwargs or flops.args, forward_kwargs=None, backward=flops.backward)
        analyzer.args, analyzer.kwargs, analyzer._tally = flops.args, flops.kwargs, flops.tally
        return analyzer


def flop_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: Mapping[str, Handle] | None = None
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Gigaflops by operator, and the operators that were not counted.

    Args:
        model: the module.
        inputs: positional arguments of its forward.
        supported_ops: handles that add to or replace eng's own.

    Returns:
        ``({"convolution": 1.7e-05}, Counter())``: 10⁹ flops by operator, and calls by uncounted operator.
    """
    analyzer = _with_handles(FlopAnalyzer(model, inputs), supported_ops)
    giga = defaultdict(float, {name: count / 1e9 for name, count in analyzer.by_operator().items()})
    return giga, analyzer.unsupported_ops()


def activation_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: Mapping[str, Handle] | None = None
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Millions of activations by operator, and the operators that were not counted.

    Arguments as of `flop_count`.
    """
    analyzer = _with_handles(ActivationAnalyzer(model, inputs), supported_ops)
    mega = defaultdict(float, {name: count / 1e6 for name, count in analyzer.by_operator().items()})
    return mega, analyzer.unsupported_ops()


def _with_handles(analyzer: Any, supported_ops: Mapping[str, Handle] | None) -> Any:
    for name, handle in (supported_ops or {}).items():
        analyzer.set_op_handle(name, handle)
    return analyzer
