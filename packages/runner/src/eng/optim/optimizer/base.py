"""BaseOptimWrapper: the interface of optimizer wrappers, and the saving and loading of the optimizer's state."""

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
    """Base class of optimizer wrappers, which give training loops one interface for all precisions.

    If the optimizer has several parameter groups, the wrapper also has ``base_param_settings``, a dict with the
    optimizer's default settings, which no factor of a group has changed. Schedulers change ``base_param_settings`` like
    a group, so that its ``lr`` is what the learning rate of the config has become at the present iteration.

    Args:
        optimizer: a ``torch.optim.Optimizer``, or an object with ``param_groups`` and ``step``.

    Raises:
        OptimTypeError: ``optimizer`` has no ``param_groups`` or no ``step`` (a TypeError).
    """

    has_flat_parameters = False
    """Whether the optimizer updates flattened copies instead of the model's parameters themselves."""

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
        """Computes the gradients of a loss and updates the parameters."""

    @abstractmethod
    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Adds the gradients of a loss to the parameters' gradients."""

    @abstractmethod
    def zero_grad(self, **kwargs: Any) -> None:
        """Clears the gradients of all parameters."""

    @abstractmethod
    def step(self, **kwargs: Any) -> None:
        """Updates the parameters with their gradients."""

    def name_parameters(self, model: nn.Module) -> None:
        """Stores the names that the optimizer's parameters have in ``model``.

        After this call the optimizer's state is saved and loaded by parameter name, so that a run can be resumed after
        layers of the model were reordered or added. :func:`build_optim_wrapper` calls this method.

        Args:
            model: the model, with or without a wrapper such as DistributedDataParallel.
        """
        self._names.learn(model)

    def named_parameters(self) -> list[tuple[str, Any]]:
        """Returns (name, parameter) pairs of the optimizer's parameters.

        If the names in the model are unknown, the names are positions such as ``param_groups.0.3``.
        """
        return self._names.of_parameters(self.optimizer.param_groups)

    def state_dict(self) -> dict[str, Any]:
        """Returns the optimizer's ``state_dict``, with what :meth:`load_state_dict` needs besides.

        If the names of the parameters are known, each group has ``param_names``. ``groups_added_from`` is the index of
        the first group that was added during training, and ``base_param_settings`` the dict of this name.
        """
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
        """Restores the state of an earlier run.

        Parameters are matched by name if both the saved state and this wrapper have parameter names. Otherwise they are
        matched by their order, as torch does. A parameter group that was added during the earlier run's training is
        added again.

        Args:
            state_dict: the result of :meth:`state_dict`, or an optimizer's ``state_dict``. The dict is not changed.

        Raises:
            OptimError: the saved state and this wrapper have names, but none in common (a ValueError).
            ValueError: parameters are matched by order, and the groups differ in number or size.
        """
        state = dict(state_dict)
        self.base_param_settings = state.pop("base_param_settings", self.base_param_settings)
        self._add_groups_again(state)
        groups = self.optimizer.param_groups
        self._load_optimizer(match_by_name(state, groups, self._names.of_groups(groups), list(self._names)))

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        """Loads a state into the optimizer; the order of its parameters is already that of the optimizer's groups."""
        self.optimizer.load_state_dict(state)

    def differing_settings(self, state_dict: Mapping[str, Any]) -> list[tuple[str, Any, Any, int]]:
        """Lists settings of the parameter groups that :meth:`load_state_dict` would change.

        Args:
            state_dict: the state of an earlier run.

        Returns:
            for each such setting a tuple: the setting's name in the optimizer's config, the saved value, the present
            value, and the number of parameter groups with this difference.
        """
        groups = self.optimizer.param_groups
        names = self._names.of_groups(groups)
        return settings_that_differ(state_dict, groups, names, group_settings(self.optimizer))

    def _add_groups_again(self, state: dict[str, Any]) -> None:
        """Adds to the optimizer the parameter groups that the earlier run added during training.

        A group is skipped if the model lacks one of its parameters, or if the optimizer has one of them already.
        """
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
        """The optimizer's parameter groups; if there are several, ``base_param_settings`` follows as the last group."""
        groups: list[dict[str, Any]] = self.optimizer.param_groups
        if self.base_param_settings is None:
            return groups
        return [*groups, self.base_param_settings]

    @property
    def defaults(self) -> dict[str, Any]:
        """The optimizer's default settings for parameter groups; empty if the optimizer has no such attribute."""
        defaults: dict[str, Any] = getattr(self.optimizer, "defaults", {})
        return defaults

    def get_lr(self) -> dict[str, list[float]]:
        """Returns the learning rates of the parameter groups under ``lr``.

        With several groups, ``base_lr`` is the learning rate of the config as schedules have changed the rate so far,
        without the factor of a group.
        """
        rates = {}
        if self.base_param_settings is not None:
            rates["base_lr"] = [self.base_param_settings["lr"]]
        rates["lr"] = [group["lr"] for group in self.optimizer.param_groups]
        return rates

    def get_momentum(self) -> dict[str, list[float]]:
        """Returns the momenta of the parameter groups under ``momentum``.

        The momentum of an optimizer with ``betas``, such as Adam, is the first beta; without a momentum the value is 0.
        """
        return {"momentum": [_momentum(group) for group in self.optimizer.param_groups]}


def _momentum(group: Mapping[str, Any]) -> float:
    if "momentum" in group:
        return group["momentum"]  # type: ignore[no-any-return]  # a number of the group
    if "betas" in group:
        return group["betas"][0]  # type: ignore[no-any-return]  # a number of the group
    return 0
