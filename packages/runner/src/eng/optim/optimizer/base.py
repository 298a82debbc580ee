"""What every optimizer wrapper offers: the update of parameters, and the state of the optimizer."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.optim._names import ParameterNames, match_by_name, settings_that_differ
from eng.optim.errors import OptimTypeError

from .group_settings import group_settings


class BaseOptimWrapper(metaclass=ABCMeta):
    """A torch optimizer behind an interface that does not change with precision or accumulation.

    With several parameter groups the wrapper keeps one more set of values, ``base_param_settings``: the optimizer's
    defaults, which no group multiplies. Schedulers move it too, so that it tells the learning rate as configured.

    Args:
        optimizer: a ``torch.optim.Optimizer``, or what has ``param_groups`` and ``step`` as one has.

    Raises:
        OptimTypeError: it is no optimizer (a TypeError).
    """

    has_flat_parameters = False
    """Whether the optimizer updates flat copies, which are no parameters of the model."""

    def __init__(self, optimizer: Any) -> None:
        if not (hasattr(optimizer, "param_groups") and hasattr(optimizer, "step")):
            raise OptimTypeError(
                f"{type(self).__name__} takes an optimizer such as torch.optim.SGD(model.parameters(), lr=0.1), got "
                f"{type(optimizer).__name__}: {optimizer!r}; build_optim_wrapper() takes a config"
            )
        self.optimizer = optimizer
        self.base_param_settings: dict[str, Any] | None = None
        if len(optimizer.param_groups) > 1 and self.defaults:
            self.base_param_settings = {"params": torch.tensor([0.0]), **self.defaults}
        self._groups_at_first = len(optimizer.param_groups)
        self._names = ParameterNames()

    @abstractmethod
    def update_params(self, *args: Any, **kwargs: Any) -> None:
        """Turns a loss into an update of the parameters."""

    @abstractmethod
    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Adds the gradients of a loss to those of the parameters."""

    @abstractmethod
    def zero_grad(self, **kwargs: Any) -> None:
        """Forgets all gradients."""

    @abstractmethod
    def step(self, **kwargs: Any) -> None:
        """Updates the parameters with their gradients."""

    def name_parameters(self, model: nn.Module) -> None:
        """Learns the names that the optimizer's parameters have in ``model``.

        :func:`build_optim_wrapper` does this. With it the optimizer's state is saved and loaded by name, so that a
        run goes on after its layers were reordered or one was added.

        Args:
            model: the model, with or without a wrapper such as DistributedDataParallel.
        """
        self._names.learn(model)

    def named_parameters(self) -> list[tuple[str, Any]]:
        """The optimizer's parameters with their names, or with their places in the groups where names are unknown."""
        return self._names.of_parameters(self.optimizer.param_groups)

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state, as torch gives it, with ``param_names`` in each group where they are known."""
        state: dict[str, Any] = self.optimizer.state_dict()
        names = self._names.of_groups(self.optimizer.param_groups)
        if names is not None:
            for group, group_names in zip(state.get("param_groups", ()), names, strict=False):
                group["param_names"] = group_names
        if len(self.optimizer.param_groups) > self._groups_at_first:
            state["groups_added_from"] = self._groups_at_first
        if self.base_param_settings is not None:
            state["base_param_settings"] = self.base_param_settings
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over the state of an earlier run.

        Parameters are matched by name where both sides know names, and by their order, as torch does, where not. A
        group that was added during training is added again.

        Args:
            state_dict: what :meth:`state_dict` gave, or an optimizer's own. It is left as it is.

        Raises:
            OptimError: both sides know names and have none in common (a ValueError).
            ValueError: matched by order, and the groups differ in number or size.
        """
        state = dict(state_dict)
        self.base_param_settings = state.pop("base_param_settings", self.base_param_settings)
        self._add_groups_again(state)
        groups = self.optimizer.param_groups
        self._load_optimizer(match_by_name(state, groups, self._names.of_groups(groups), list(self._names)))

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        """Gives the optimizer its state, whose parameters are in the order of its groups."""
        self.optimizer.load_state_dict(state)

    def differing_settings(self, state_dict: Mapping[str, Any]) -> list[tuple[str, Any, Any, int]]:
        """Values of the parameter groups that :meth:`load_state_dict` would replace.

        Args:
            state_dict: the state of an earlier run.

        Returns:
            for each of them its name in the optimizer's config, the saved value, the present one, and in how many groups it is so.
        """
        groups = self.optimizer.param_groups
        names = self._names.of_groups(groups)
        return settings_that_differ(state_dict, groups, names, group_settings(self.optimizer))

    def _add_groups_again(self, state: dict[str, Any]) -> None:
        """Adds the groups that training had added in the earlier run and that are missing here."""
        first_added = state.pop("groups_added_from", None)
        names = self._names.of_groups(self.optimizer.param_groups)
        if first_added is None or names is None:
            return
        present = {name for group in names for name in group}
        for group in state["param_groups"][first_added:]:
            added = [self._names.parameter(name) for name in group.get("param_names", ())]
            if added and None not in added and not present.intersection(group["param_names"]):
                values = {key: value for key, value in group.items() if key not in ("params", "param_names")}
                self.optimizer.add_param_group({**values, "params": added})

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's groups, and the base settings behind them where there are several."""
        groups: list[dict[str, Any]] = self.optimizer.param_groups
        return groups if self.base_param_settings is None else [*groups, self.base_param_settings]

    @property
    def defaults(self) -> dict[str, Any]:
        """The optimizer's default values of a group; empty where an optimizer of another library has none."""
        defaults: dict[str, Any] = getattr(self.optimizer, "defaults", {})
        return defaults

    def get_lr(self) -> dict[str, list[float]]:
        """The learning rates under ``lr``, and with several groups the base learning rate under ``base_lr``."""
        rates = {} if self.base_param_settings is None else {"base_lr": [self.base_param_settings["lr"]]}
        groups = self.optimizer.param_groups
        rates["lr"] = [groups[0]["lr"]] if len(groups) == 1 else [group["lr"] for group in groups]
        return rates

    def get_momentum(self) -> dict[str, list[float]]:
        """The momenta under ``momentum``: that of SGD, the first beta of Adam, and 0 where there is none."""
        return {"momentum": [_momentum(group) for group in self.optimizer.param_groups]}


def _momentum(group: Mapping[str, Any]) -> float:
    if "momentum" in group:
        return group["momentum"]  # type: ignore[no-any-return]  # whatever number the optimizer keeps
    return group["betas"][0] if "betas" in group else 0
