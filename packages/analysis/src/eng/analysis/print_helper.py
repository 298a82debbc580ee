"""Shows the complexity of a model: as a table, as a tree of modules, and as a dictionary with all numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.analysis._table import Row, format_size, indented, render
from eng.analysis.complexity_analysis import ActivationAnalyzer, FlopAnalyzer
from eng.analysis.parameters import parameter_count

_format_size = format_size  # Libraries that were written for MMEngine import this private name.

MISSING = "N/A indicates a module that was never called as a module; what it computed is in its parent's numbers."


def get_model_complexity_info(
    model: nn.Module,
    input_shape: tuple[int, ...] | tuple[tuple[int, ...], ...] | None = None,
    inputs: torch.Tensor | tuple[Any, ...] | Mapping[str, Any] | None = None,
    show_table: bool = True,
    show_arch: bool = True,
) -> dict[str, int | str]:
    """Counts flops, activations and parameters of a model for one input.

    Args:
        model: the module, in the mode (training or evaluation) in which it is to be counted.
        input_shape: shape of one input without the batch dimension, such as ``(3, 224, 224)``, or a tuple of such
            shapes if forward has several arguments. A float32 batch of one sample is used.
        inputs: the inputs themselves: a tensor, a tuple of positional arguments, or a dict of keyword arguments.
        show_table: whether to return a table as ``out_table``.
        show_arch: whether to return the tree of modules as ``out_arch``.

    Returns:
        A dictionary with the numbers ``flops``, ``activations`` and ``params``, the same numbers as text
        (``flops_str`` and so on), ``out_table`` and ``out_arch`` (empty if not requested).

    Raises:
        ValueError: neither or both of `input_shape` and `inputs` are set, or a shape does not consist of positive
            integers.

    Example:
        >>> from torch import nn
        >>> info = get_model_complexity_info(nn.Conv2d(3, 10, 3), (3, 10, 10))
        >>> info["flops"], info["activations"], info["params"]
        (17280, 640, 280)
    """
    if input_shape is None and inputs is None:
        raise ValueError("give input_shape, such as (3, 224, 224), or inputs")
    if input_shape is not None and inputs is not None:
        raise ValueError("give input_shape or inputs, not both: they might disagree")
    flops = FlopAnalyzer(model, tensors_of(input_shape) if inputs is None else inputs)  # type: ignore[arg-type]  # one of the two arguments is not None, as checked above
    activations = ActivationAnalyzer.of(flops)
    params = parameter_count(flops.model)[""]
    numbers = {"flops": flops.total(), "activations": activations.total(), "params": params}
    table = complexity_stats_table(flops, activations=activations) if show_table else ""
    tree = complexity_stats_str(flops, activations) if show_arch else ""
    return {
        **numbers,
        **{f"{name}_str": format_size(number) for name, number in numbers.items()},
        "out_table": f"\n{table}\n" if table else "",
        "out_arch": f"\n{tree}\n" if tree else "",
    }


def tensors_of(input_shape: tuple[Any, ...]) -> tuple[torch.Tensor, ...]:
    """Creates a float32 tensor of zeros for each shape, with an additional batch dimension of size 1.

    Args:
        input_shape: one shape, such as ``(3, 224, 224)``, or a tuple of shapes.

    Raises:
        ValueError: a shape does not consist of positive integers.
    """
    several = isinstance(input_shape, (tuple, list)) and input_shape and isinstance(input_shape[0], (tuple, list))
    shapes = input_shape if several else (input_shape,)
    for shape in shapes:
        is_shape = isinstance(shape, (tuple, list)) and shape
        if not is_shape or not all(isinstance(size, int) and size > 0 for size in shape):
            raise ValueError(f"input_shape: expected whole numbers such as (3, 224, 224), got {shape!r}")
    # These tensors have values, unlike meta tensors, because the forward may read them. Zeros need hardly any memory:
    # the operating system allocates a page only when it is written to.
    return tuple(torch.zeros(1, *shape) for shape in shapes)


class _Statistics:
    """The numbers that a table of a model shows: parameters, flops and activations of every module."""

    def __init__(self, flops: FlopAnalyzer, activations: ActivationAnalyzer | None) -> None:
        self.model = flops.model
        self.params = parameter_count(self.model)
        self.shapes = {name: tuple(parameter.shape) for name, parameter in self.model.named_parameters()}
        self.columns = {"flops": flops.by_module()}
        if activations is not None:
            self.columns["activations"] = activations.by_module()
        self.uncalled = flops.uncalled_modules()

    def worth_showing(self, module: str) -> bool:
        return bool(self.params.get(module)) or any(column[module] for column in self.columns.values())

    def names(self) -> list[str]:
        """Returns the names of the rows of a table.

        First come modules that have parameters and the parameters themselves, then modules without parameters that have
        flops or activations.
        """
        computing = [name for name in self.columns["flops"] if name not in self.params and self.worth_showing(name)]
        return [*self.params, *computing]


def complexity_stats_table(
    flops: FlopAnalyzer,
    max_depth: int = 3,
    activations: ActivationAnalyzer | None = None,
    show_param_shapes: bool = True,
) -> str:
    """Formats parameters, flops and activations as a table with one row per module.

    Args:
        flops: the analyzer with the flops.
        max_depth: number of nested levels of modules to show below the first row.
        activations: the analyzer that counted the activations; None omits their column.
        show_param_shapes: whether to add a row with the shape of each parameter.
    """
    statistics = _Statistics(flops, activations)
    children: dict[str, list[str]] = {}
    for name in statistics.names():
        if name:
            children.setdefault(name.rpartition(".")[0], []).append(name)
    root = _collapsed_root(children, statistics)

    def cells(name: str) -> Row:
        """Returns the cells of the table row of a module or parameter: name, parameters or shape, and counts."""
        shown = name.removeprefix(f"{root}.") if root and name != root else name
        if name in statistics.shapes:
            return (shown, str(statistics.shapes[name]), *("" for _ in statistics.columns))
        params = format_size(statistics.params[name]) if statistics.params.get(name) else ""
        counts = (
            "" if name in statistics.uncalled else format_size(column[name]) for column in statistics.columns.values()
        )
        return (shown or "model", params, *counts)

    def rows(name: str, depth: int) -> list[Row]:
        """Returns the rows of a module and of everything below it, up to `max_depth` levels below the first row."""
        if depth > max_depth or (name in statistics.shapes and not show_param_shapes):
            return []
        below = [row for child in children.get(name, []) for row in rows(child, depth + 1)]
        return [indented(depth, cells(name)), *below]

    header = ("module", "#parameters or shape" if show_param_shapes else "#parameters")
    return render((*header, *(f"#{name}" for name in statistics.columns)), rows(root, 0))


def _collapsed_root(children: Mapping[str, list[str]], statistics: _Statistics) -> str:
    """Returns the name of the outermost module that has more than one child, with which the table starts.

    Modules that only wrap a single module are left out, because their rows would repeat the same numbers.
    """
    root = ""
    while len(children.get(root, [])) == 1 and children[root][0] not in statistics.shapes:
        root = children[root][0]
    return root


def complexity_stats_str(flops: FlopAnalyzer, activations: ActivationAnalyzer | None = None) -> str:
    """Formats the model like ``print(model)``, with the numbers of each module added.

    Args:
        flops: the analyzer with the flops.
        activations: the analyzer with the activations; None omits them.
    """
    statistics = _Statistics(flops, activations)
    labels = {"flops": "flops", "activations": "acts"}

    def numbers(name: str) -> list[str]:
        """Returns a line with the numbers of a module, as a list with one item; empty if there is nothing to show."""
        if not statistics.worth_showing(name) and name not in statistics.uncalled:
            return []
        parts = [f"#params: {format_size(statistics.params.get(name, 0), 2)}"]
        for key, column in statistics.columns.items():
            parts.append(f"#{labels[key]}: {'N/A' if name in statistics.uncalled else format_size(column[name], 2)}")
        return [", ".join(parts)]

    def drawn(module: nn.Module, name: str) -> str:
        """Returns the text of a module and its submodules in the format of ``print(module)``, with numbers added."""
        details = [line for line in module.extra_repr().split("\n") if line] + numbers(name)
        below = []
        for key, child in module.named_children():
            text = drawn(child, f"{name}.{key}" if name else key).replace("\n", "\n  ")
            below.append(f"({key}): {text}")
        lines = details + below
        if len(lines) <= 1 and not below:
            return f"{type(module).__name__}({''.join(lines)})"
        return "\n  ".join([f"{type(module).__name__}(", *lines]) + "\n)"

    text = drawn(statistics.model, "")
    return f"{MISSING}\n{text}" if "N/A" in text else text
