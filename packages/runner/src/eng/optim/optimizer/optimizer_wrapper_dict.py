"""OptimWrapperDict: several optimizers by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import nn

from eng.logging.near_names import suggest
from eng.optim.errors import AmbiguousOptimizerError, MissingValueError, OptimTypeError

from .optimizer_wrapper import OptimWrapper


class OptimWrapperDict(OptimWrapper):
    """Several optimizer wrappers by name, for models such as a GAN that train their parts with different optimizers.

    The ``train_step`` of the model selects a wrapper by name and calls the wrapper's ``update_params``. Methods of this
    class such as :meth:`get_lr` and :meth:`state_dict` return the values of all wrappers. Methods that make sense only
    for a single wrapper, such as :meth:`update_params`, raise an error.

    Args:
        **optim_wrapper_dict: optimizer wrappers by name.

    Raises:
        OptimTypeError: a value is not an OptimWrapper (a TypeError).

    Examples:
        >>> generator, critic = nn.Linear(1, 1), nn.Linear(1, 1)
        >>> wrappers = OptimWrapperDict(
        ...     generator=OptimWrapper(torch.optim.SGD(generator.parameters(), lr=0.01)),
        ...     critic=OptimWrapper(torch.optim.SGD(critic.parameters(), lr=0.04)),
        ... )
        >>> wrappers.get_lr()
        {'generator.lr': [0.01], 'critic.lr': [0.04]}
    """

    def __init__(self, **optim_wrapper_dict: OptimWrapper) -> None:
        for name, wrapper in optim_wrapper_dict.items():
            if not isinstance(wrapper, OptimWrapper):
                raise OptimTypeError(f"OptimWrapperDict holds OptimWrappers; {name!r} is {type(wrapper).__name__}")
        self.optim_wrappers = optim_wrapper_dict

    def update_params(
        self,
        loss: torch.Tensor,
        step_kwargs: dict[str, Any] | None = None,
        zero_kwargs: dict[str, Any] | None = None,
        weight: float | torch.Tensor | None = None,
    ) -> None:
        """Raises an error, since a loss updates the parameters of only one of the optimizers.

        Call ``wrappers[name].update_params(loss)`` instead.

        Raises:
            AmbiguousOptimizerError: always (a NotImplementedError).
        """
        self._refuse("update_params")

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        """Raises AmbiguousOptimizerError: call the method on one of the wrappers, ``wrappers[name]``, instead."""
        self._refuse("backward")

    def step(self, **kwargs: Any) -> None:
        """Raises AmbiguousOptimizerError: call the method on one of the wrappers, ``wrappers[name]``, instead."""
        self._refuse("step")

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Raises AmbiguousOptimizerError: call the method on one of the wrappers, ``wrappers[name]``, instead."""
        self._refuse("optim_context")
        yield

    def zero_grad(self, **kwargs: Any) -> None:
        """Clears the gradients of all optimizers' parameters.

        Args:
            **kwargs: arguments of :meth:`torch.optim.Optimizer.zero_grad`.
        """
        for wrapper in self.optim_wrappers.values():
            wrapper.zero_grad(**kwargs)

    def initialize_count_status(self, model: nn.Module, cur_iter: int, max_iters: int) -> None:
        """Stores the names of the parameters in all wrappers, but sets no number of losses.

        The model decides how many losses each wrapper gets in an iteration, so that the wrappers' numbers of losses do
        not follow from the number of iterations.

        Args:
            model: the model whose parameter names are stored.
            cur_iter: number of iterations so far; not used.
            max_iters: number of iterations of the run; not used.
        """
        for wrapper in self.optim_wrappers.values():
            if not wrapper._names:  # noqa: SLF001  # an OptimWrapper too
                wrapper.name_parameters(model)

    def name_parameters(self, model: nn.Module) -> None:
        """Stores the names of the model's parameters in all wrappers; see :meth:`BaseOptimWrapper.name_parameters`."""
        for wrapper in self.optim_wrappers.values():
            wrapper.name_parameters(model)

    @property
    def param_groups(self) -> dict[str, list[dict[str, Any]]]:  # type: ignore[override]  # by name, as in MMEngine
        """The parameter groups of all wrappers, as a dict by the name of the wrapper."""
        return {name: wrapper.param_groups for name, wrapper in self.optim_wrappers.items()}

    @property  # type: ignore[misc]  # without a setter: the wrappers hold the counts
    def update_count(self) -> int:
        """The number of updates of the wrapper that has made the most updates."""
        return max((wrapper.update_count for wrapper in self.optim_wrappers.values()), default=0)

    def get_lr(self) -> dict[str, list[float]]:
        """Returns the learning rates of all wrappers.

        The rates of a wrapper's groups are under ``<name>.lr``; ``<name>.base_lr`` is the learning rate of the config
        as schedules have changed the rate, which only a wrapper with several groups has.
        """
        return {
            f"{name}.{key}": rates
            for name, wrapper in self.optim_wrappers.items()
            for key, rates in wrapper.get_lr().items()
        }

    def get_momentum(self) -> dict[str, list[float]]:
        """Returns the momenta of the parameter groups of each wrapper under ``<name>.momentum``."""
        return {f"{name}.momentum": w.get_momentum()["momentum"] for name, w in self.optim_wrappers.items()}

    def state_dict(self) -> dict[str, Any]:
        """Returns the states of all wrappers by the name of the wrapper, for a checkpoint."""
        return {name: wrapper.state_dict() for name, wrapper in self.optim_wrappers.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state of each wrapper from an earlier run.

        Args:
            state_dict: the states of the wrappers by the name of the wrapper.

        Raises:
            MissingValueError: no wrapper has a name of ``state_dict`` (a KeyError).
        """
        for name, state in state_dict.items():
            self[name].load_state_dict(state)

    def accumulation_state(self) -> dict[str, Any]:
        """Returns the unfinished accumulation windows of all wrappers by the name of the wrapper."""
        return {name: wrapper.accumulation_state() for name, wrapper in self.optim_wrappers.items()}

    def load_accumulation_state(self, state: Mapping[str, Any]) -> None:
        """Restores the unfinished accumulation windows of all wrappers; ``state`` has them by the wrapper's name."""
        for name, window in state.items():
            self[name].load_accumulation_state(window)

    def items(self) -> Iterator[tuple[str, OptimWrapper]]:
        """Yields (name, wrapper) pairs of all wrappers."""
        yield from self.optim_wrappers.items()

    def values(self) -> Iterator[OptimWrapper]:
        """Yields all wrappers, without their names."""
        yield from self.optim_wrappers.values()

    def keys(self) -> Iterator[str]:
        """Yields the names of the wrappers."""
        yield from self.optim_wrappers.keys()

    def __getitem__(self, key: str) -> OptimWrapper:
        if key not in self.optim_wrappers:
            raise MissingValueError(f"there is no optimizer {key!r}{suggest(key, self.optim_wrappers)}")
        return self.optim_wrappers[key]

    def __contains__(self, key: object) -> bool:
        return key in self.optim_wrappers

    def __len__(self) -> int:
        return len(self.optim_wrappers)

    def __repr__(self) -> str:
        return "".join(f"name: {name}\n{wrapper!r}" for name, wrapper in self.optim_wrappers.items())

    def _refuse(self, method: str) -> NoReturn:
        names = ", ".join(self.optim_wrappers)
        raise AmbiguousOptimizerError(
            f"{method} of which optimizer? There are {names}: call optim_wrapper[name].{method}(...)"
        )
