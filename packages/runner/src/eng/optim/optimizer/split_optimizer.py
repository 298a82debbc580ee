"""SplitOptimizer: several optimizers, each for a part of a model's parameters, used as one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from eng.optim.errors import OptimError, OptimTypeError


class SplitOptimizer(Optimizer):
    """Joins several optimizers, each for different parameters of a model, into one optimizer.

    A step calls the steps of all optimizers. The parameter groups and the states of all optimizers are those of this
    optimizer, so that schedules and checkpoints handle a SplitOptimizer like any other optimizer.

    Args:
        optimizers: the optimizers to join, at least one.

    Raises:
        OptimError: ``optimizers`` is empty, or two optimizers have a parameter in common (a ValueError).

    Examples:
        >>> layer = nn.Linear(2, 2)
        >>> optimizer = SplitOptimizer([torch.optim.Muon([layer.weight], lr=0.02), torch.optim.AdamW([layer.bias], lr=1e-3)])
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.02, 0.001]
    """

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        if not optimizers:
            raise OptimError("SplitOptimizer needs one optimizer at least")
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        parameters = [id(parameter) for group in groups for parameter in group["params"]]
        if len(parameters) != len(set(parameters)):
            raise OptimError("two of the optimizers have a parameter in common; each parameter is for one of them")
        self.optimizers = list(optimizers)
        self._sizes = [len(optimizer.param_groups) for optimizer in optimizers]
        # All settings are in the groups already; the defaults have only the learning rate of the first optimizer.
        super().__init__(groups, {"lr": optimizers[0].defaults["lr"]})
        for optimizer in optimizers:
            self.state.update(optimizer.state)
        self._share()

    def _share(self) -> None:
        """Makes the joined optimizers use the parameter groups and the state of this optimizer, as the same objects.

        A schedule that changes a group here then changes the group of the joined optimizer.
        """
        start = 0
        for optimizer, size in zip(self.optimizers, self._sizes, strict=True):
            optimizer.param_groups = self.param_groups[start : start + size]
            optimizer.state = self.state
            start += size

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Calls the step of all joined optimizers, one after the other.

        Args:
            closure: function that computes the loss again and returns the loss; called once, before all steps.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores a saved state of all joined optimizers; see :meth:`torch.optim.Optimizer.load_state_dict`."""
        super().load_state_dict(dict(state_dict))
        self._share()

    def group_labels(self) -> list[str]:
        """Returns for each parameter group the class name of the joined optimizer that updates the group."""
        pairs = zip(self.optimizers, self._sizes, strict=True)
        return [type(optimizer).__name__ for optimizer, size in pairs for _ in range(size)]

    def __getstate__(self) -> dict[str, Any]:
        # torch copies and pickles only the groups and the state of an optimizer; the joined optimizers are added here.
        return {**super().__getstate__(), "optimizers": self.optimizers, "_sizes": self._sizes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "optimizers" in self.__dict__:
            self._share()


def is_for_first(name: str, parameter: nn.Parameter, ndim: int | None, modules: Sequence[str]) -> bool:
    """Whether the first of the two optimizers of a SplitOptimizer updates a parameter; else the second updates it.

    Args:
        name: name of the parameter in the model.
        parameter: the parameter.
        ndim: number of dimensions of the parameters that the first optimizer updates; None allows any number.
        modules: names of modules whose parameters the second optimizer updates. A name such as ``"head"`` also selects
            a module inside of other modules, such as ``decoder.head``.

    Examples:
        >>> weight = nn.Parameter(torch.ones(2, 2))
        >>> is_for_first("body.0.weight", weight, 2, ["head"]), is_for_first("head.weight", weight, 2, ["head"])
        (True, False)
    """
    in_module = any(f".{module}." in f".{name}" for module in modules)
    return not in_module and (ndim is None or parameter.ndim == ndim)


def read_split(split: Any, optimizer_type: Any) -> tuple[dict[str, Any], int | None, list[str]]:
    """Reads the setting ``split`` of an optimizer's config, which describes a second optimizer for some parameters.

    Args:
        split: config of the second optimizer, ``dict(type="AdamW", lr=...)``. The config may have ``ndim`` and
            ``modules``, which select the parameters of the second optimizer; see :func:`is_for_first`.
        optimizer_type: type of the first optimizer. For Muon, which updates matrices only, ``ndim`` defaults to 2.

    Returns:
        the config of the second optimizer, ``ndim`` and ``modules``.

    Raises:
        OptimTypeError: ``split`` is no mapping with a type, or ``modules`` is no list of names (a TypeError).
    """
    if not isinstance(split, Mapping) or "type" not in split:
        raise OptimTypeError(
            f"optimizer.split is the config of the optimizer for the rest, such as dict(type='AdamW', lr=3e-4, "
            f"modules=['head']), got {split!r}"
        )
    second = dict(split)
    type_name = getattr(optimizer_type, "__name__", "")
    if isinstance(optimizer_type, str):
        type_name = optimizer_type
    default_ndim = None
    if "Muon" in type_name:
        default_ndim = 2
    ndim = second.pop("ndim", default_ndim)
    modules = second.pop("modules", [])
    if isinstance(modules, str) or not all(isinstance(module, str) for module in modules):
        raise OptimTypeError(f"optimizer.split.modules is a list of names of modules, got {modules!r}")
    return second, ndim, list(modules)
