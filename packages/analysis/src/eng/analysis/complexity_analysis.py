"""Analyzers that count flops and activations of a forward or a training step, by module and by operator."""

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
from eng.analysis._execute import observe, unwrap
from eng.analysis._formulas import RULES

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

#: A function of the user that computes the flops of an operator's call (a number or a Counter) from lists of the call's
#: inputs and outputs.
Handle = Callable[[list[Any], list[Any]], Any]
Convention = Literal["macs", "flops"]


class ModelAnalysis(ABC):
    """Base class of analyzers, which run a model once and count the cost of the operators that it calls.

    The model runs when a count is read for the first time. Every operator that runs is observed, so any control flow
    and any signature of forward works. The model runs on meta tensors, which have no values and need no memory; only if
    its forward needs values, it runs on the real tensors.

    Args:
        model: the module; wrappers of `DataParallel` and `torch.compile` are removed.
        inputs: a tensor (one argument), a tuple (positional arguments) or a dict (keyword arguments).
        forward_kwargs: further keyword arguments of forward.
        backward: whether to count the backward pass as well (from the sum of all outputs).
        convention: ``"macs"`` counts a multiply-add as one, as MMEngine does; ``"flops"`` as two, as vendors do.

    Raises:
        TypeError: `model` is not a module.
        ValueError: `convention` is neither ``"macs"`` nor ``"flops"``.
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
        self.model = unwrap(model)
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
        """The counts of the run; the model runs when this property is read for the first time."""
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
        """Sets functions (handles) that compute the flops of operators, instead of eng's formulas.

        An operator whose handle is None costs nothing.

        Args:
            *args: pairs name, handle, name, handle, … with names such as ``"aten::gelu"``. A handle gets a list of the
                inputs and a list of the outputs (tensors and numbers) of an operator's call and returns its flops.
            **kwargs: further handles by name of the operator.

        Raises:
            TypeError: the positional arguments are not pairs of a name and a handle.

        Example:
            >>> import torch
            >>> from torch import nn
            >>> analyzer = FlopAnalyzer(nn.GELU(), torch.zeros(2, 3))
            >>> analyzer.set_op_handle("aten::gelu", lambda inputs, outputs: 8 * outputs[0].numel()).total()
            48
        """
        if len(args) % 2 or not all(isinstance(name, str) for name in args[::2]):
            raise TypeError("set_op_handle takes pairs: a name such as 'aten::gelu', then a handle or None")
        self._handles.update(zip(args[::2], args[1::2], strict=True), **kwargs)  # type: ignore[arg-type]  # the check above ensures these types
        self._tally = None
        return self

    def clear_op_handles(self) -> ModelAnalysis:
        """Removes all handles of the user and all cost formulas of eng.

        Only operators for which :meth:`set_op_handle` sets a handle afterwards are counted; all others are reported as
        uncounted.
        """
        self._known, self._handles, self._tally = {}, {}, None
        return self

    def total(self, module_name: str = "") -> int:
        """Returns the FLOPs or activations of a module and its submodules; ``""`` stands for the complete model."""
        return sum(self.by_operator(module_name).values())

    def by_operator(self, module_name: str = "") -> Counter[str]:
        """Returns the FLOPs or activations of a module by operator, such as ``{"convolution": 17280}``."""
        self._must_exist(module_name)
        return self._counts(module_name)

    def by_module(self) -> Counter[str]:
        """Returns the FLOPs or activations of every module, including its submodules, by module name."""
        return Counter({name: self.total(name) for name in self._names()})

    def by_module_and_operator(self) -> dict[str, Counter[str]]:
        """Returns the FLOPs or activations of every module, by module name and then by operator."""
        return {name: self._counts(name) for name in self._names()}

    def unsupported_ops(self, module_name: str = "") -> Counter[str]:
        """Returns how often a module called each operator for which there is no cost formula, by operator."""
        return Counter({name: entry.calls for name, entry in self.uncounted(module_name).items()})

    def uncounted(self, module_name: str = "") -> dict[str, Uncounted]:
        """Returns, for each operator without a cost formula, its calls in a module and the size of their outputs."""
        self._must_exist(module_name)
        ignored = {name for name, handle in self._handles.items() if handle is None}
        return {name: entry for name, entry in self.tally.uncounted[module_name].items() if name not in ignored}

    def uncalled_modules(self) -> set[str]:
        """Returns the names of modules whose forward was never called."""
        return {name for name in self._names() if name not in self.tally.called}

    def canonical_module_name(self, name: str) -> str:
        """Returns the name under which the counts of a module are stored.

        If the model contains the same module under several names, this is the first of them.

        Raises:
            KeyError: the model has no module with this name.
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
        """Returns an analyzer with the same settings and handles, but without counts: its model runs again.

        Args:
            new_model: model of the new analyzer; None uses the model of this analyzer.
            new_inputs: inputs of the new analyzer; None uses the inputs of this analyzer.
        """
        analyzer = copy.copy(self)
        analyzer.model = self.model if new_model is None else unwrap(new_model)
        if new_inputs is not None:
            analyzer.args, analyzer.kwargs = split_inputs(new_inputs)
        analyzer._handles, analyzer._tally = dict(self._handles), None  # noqa: SLF001  # an object of the same class
        return analyzer

    def unsupported_ops_warnings(self, enabled: bool) -> Self:
        """Sets whether a run logs a warning for operators without a cost formula (off by default).

        Returns:
            This analyzer, so that calls can be chained.
        """
        self._warns_of_operators = enabled
        return self

    def uncalled_modules_warnings(self, enabled: bool) -> Self:
        """Sets whether a run logs a warning for modules that were never called (off by default).

        Returns:
            This analyzer, so that calls can be chained.
        """
        self._warns_of_modules = enabled
        return self

    def tracer_warnings(self, mode: str) -> Self:
        """Does nothing and returns this analyzer.

        The method exists for code written for MMEngine, whose tracer can log warnings.

        Raises:
            ValueError: `mode` is none of ``"all"``, ``"no_tracer_warning"`` and ``"none"``.
        """
        modes = ("all", "no_tracer_warning", "none")
        if mode not in modes:
            raise ValueError(f"the mode of tracer warnings should be one of {modes}, got {mode!r}")
        return self

    def ancestor_mode(self, mode: str) -> Self:
        """Sets to which modules the cost of an operator is added; returns this analyzer.

        Args:
            mode: ``"owner"`` (default) adds the cost to the innermost running module and all modules that contain this
                module; ``"caller"`` adds the cost to all running modules. The modes differ if a module calls a module
                that is not one of its submodules.

        Raises:
            ValueError: `mode` is neither ``"owner"`` nor ``"caller"``.
        """
        if mode not in ("owner", "caller"):
            raise ValueError(f"ancestor_mode should be 'owner' or 'caller', got {mode!r}")
        self._ancestors, self._tally = mode, None
        return self

    def _warn(self) -> None:
        """Logs the warnings that the user has enabled: on uncounted operators, and on modules that never ran."""
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
        """Returns what the analyzer counts (flops or activations) in one module, by operator."""

    def _rules(self) -> dict[str, Rule]:
        """Returns how each operator is counted, by its name: eng's formulas, replaced by the handles of the user.

        An operator whose handle is None is left out, so that it costs nothing.
        """
        rules = dict(self._known)
        for name, handle in self._handles.items():
            if handle is None:
                rules.pop(name, None)
            else:
                rules[name] = Rule(_formula_of(handle), activates=True)
        return rules


def _formula_of(handle: Handle) -> Callable[[Sequence[Any], Mapping[str, Any], Sequence[Any]], Cost]:
    """Converts a handle of the user to a cost formula; each operation that the handle counts costs one flop."""

    def formula(args: Sequence[Any], kwargs: Mapping[str, Any], outputs: Sequence[Any]) -> Cost:
        counted = handle([*args, *kwargs.values()], list(outputs))
        return Cost(other=int(sum(counted.values()) if isinstance(counted, Mapping) else counted))

    return formula


def split_inputs(
    inputs: torch.Tensor | tuple[Any, ...] | Mapping[str, Any], forward_kwargs: Mapping[str, Any] | None = None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Converts the argument `inputs` of an analyzer to positional and keyword arguments of the model's forward.

    Args:
        inputs: a tensor (one argument), a tuple (positional arguments) or a dict (keyword arguments).
        forward_kwargs: further keyword arguments.
    """
    if isinstance(inputs, Mapping):
        return (), {**inputs, **(forward_kwargs or {})}
    return (tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)), dict(forward_kwargs or {})


class FlopAnalyzer(ModelAnalysis):
    """Counts the flops of a model for one input; the arguments are those of `ModelAnalysis`.

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
        """Returns the arithmetic intensity of a module: flops per byte that its operators read and wrote.

        A module with a low value is limited by memory bandwidth, not by arithmetic.
        """
        self._must_exist(module_name)
        return self.total(module_name) / max(self.tally.moved_bytes[module_name], 1)


class ActivationAnalyzer(ModelAnalysis):
    """Counts activations: the output elements of convolutions, matrix products and attention.

    The arguments are those of `ModelAnalysis`.

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
        """Creates an analyzer of activations from the run of a `FlopAnalyzer`, so that the model runs only once."""
        analyzer = cls(flops.model, flops.kwargs or flops.args, forward_kwargs=None, backward=flops.backward)
        analyzer.args, analyzer.kwargs, analyzer._tally = flops.args, flops.kwargs, flops.tally
        return analyzer


def flop_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: Mapping[str, Handle] | None = None
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Counts the flops of a model by operator, in units of 10⁹ flops.

    Args:
        model: the module.
        inputs: positional arguments of its forward.
        supported_ops: functions that compute the flops of operators, by name of the operator; they replace the formulas
            of eng. See `ModelAnalysis.set_op_handle`.

    Returns:
        The flops by operator in units of 10⁹, and the number of calls by uncounted operator, such as
        ``({"convolution": 1.7e-05}, Counter())``.
    """
    analyzer = _with_handles(FlopAnalyzer(model, inputs), supported_ops)
    giga = defaultdict(float, {name: count / 1e9 for name, count in analyzer.by_operator().items()})
    return giga, analyzer.unsupported_ops()


def activation_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: Mapping[str, Handle] | None = None
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Counts the activations (output elements of convolutions, matrix products and attention) of a model by operator.

    Returns the activations by operator in millions, and the number of calls by uncounted operator. The arguments are
    those of `flop_count`.
    """
    analyzer = _with_handles(ActivationAnalyzer(model, inputs), supported_ops)
    mega = defaultdict(float, {name: count / 1e6 for name, count in analyzer.by_operator().items()})
    return mega, analyzer.unsupported_ops()


def _with_handles(analyzer: Any, supported_ops: Mapping[str, Handle] | None) -> Any:
    for name, handle in (supported_ops or {}).items():
        analyzer.set_op_handle(name, handle)
    return analyzer
