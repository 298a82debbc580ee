"""Parameters of a model, by module and by tensor."""

from __future__ import annotations

from collections import defaultdict

from torch import nn

from eng.analysis._table import Row, format_size, indented, render


def parameter_count(model: nn.Module) -> defaultdict[str, int]:
    """Elements of the parameters below every module, and of every parameter; a shared one counts once.

    Args:
        model: any module, on any device (meta too).

    Returns:
        ``{"": total, "fc": 12, "fc.weight": 9, "fc.bias": 3}``; 0 for a name that is not there.

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
    """The parameters of a model as a table, with the shape of each tensor.

    Args:
        model: any module.
        max_depth: how many levels of names to show.

    Returns:
        The table, a line each for the model, its modules and its parameters.
    """
    counts = parameter_count(model)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    rows: list[Row] = [("model", format_size(counts[""], 1))]
    for name, count in counts.items():
        depth = name.count(".") + 1 if name else 0
        if 0 < depth <= max_depth:
            rows.append(indented(depth, (name, str(shapes[name]) if name in shapes else format_size(count, 1))))
    return render(("name", "#elements or shape"), rows, title=f"parameter count of {type(model).__name__}")
