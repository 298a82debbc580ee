"""Counts the parameters of a model, by module and by tensor."""

from __future__ import annotations

from collections import defaultdict

from torch import nn

from eng.analysis._table import Row, format_size, indented, render


def parameter_count(model: nn.Module) -> defaultdict[str, int]:
    """Counts the parameter elements of every module and of every parameter; a shared parameter counts once.

    Args:
        model: any module, on any device, including the meta device.

    Returns:
        The number of elements by name, such as ``{"": 12, "fc": 12, "fc.weight": 9, "fc.bias": 3}`` with ``""`` for the
        complete model; 0 for unknown names.

    Example:
        >>> from torch import nn
        >>> dict(parameter_count(nn.Linear(3, 3)))
        {'': 12, 'weight': 9, 'bias': 3}
    """
    counts: defaultdict[str, int] = defaultdict(int)
    for name, parameter in model.named_parameters():
        size = parameter.numel()
        parts = name.split(".")
        for length in range(len(parts) + 1):
            counts[".".join(parts[:length])] += size
    return counts


def parameter_count_table(model: nn.Module, max_depth: int = 3) -> str:
    """Formats the parameters of a model as a table, with the shape of each tensor.

    Args:
        model: any module.
        max_depth: number of levels of names to show.

    Returns:
        The table, with one line for the model, each module and each parameter.
    """
    counts = parameter_count(model)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    rows: list[Row] = [("model", format_size(counts[""], 1))]
    for name, count in counts.items():
        depth = name.count(".") + 1 if name else 0
        if 0 < depth <= max_depth:
            rows.append(indented(depth, (name, str(shapes[name]) if name in shapes else format_size(count, 1))))
    return render(("name", "#elements or shape"), rows, title=f"parameter count of {type(model).__name__}")
