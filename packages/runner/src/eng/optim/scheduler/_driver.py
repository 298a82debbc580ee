"""What drives every schedule: counting, the span in which it acts, and writing into the parameter groups."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch.optim import Optimizer

from eng.logging.near_names import suggest
from eng.optim.errors import MissingValueError, OptimTypeError, ScheduleError
from eng.optim.optimizer.base import BaseOptimWrapper

from ._progress import load_progress

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

INF = int(1e9)
OptimizerType = BaseOptimWrapper | Optimizer
UNITS = ("epoch", "iter", "update")
_NUMBERS = (float, int)  # asking whether something is a tensor takes several times as long


class _UnitOfByEpoch:
    """The unit that ``by_epoch`` means, for a scheduler without a ``by`` of its own."""

    def __get__(self, scheduler: Any, owner: type) -> str:
        return "epoch" if getattr(scheduler, "by_epoch", True) else "iter"


class _ParamScheduler:
    """Moves one hyperparameter of an optimizer along a curve; subclasses give the curve in ``_get_value``.

    Building a scheduler takes its first step. Each :meth:`step` after that ends one unit: an epoch, an iteration or
    an optimizer update. In the span [``begin``, ``end``) it writes its values, outside of it leaves them alone.
    Several schedulers may act on one hyperparameter, after each other or at the same time. Nothing of the optimizer
    is replaced or wrapped.

    Args:
        optimizer: whose parameter groups are written: a wrapper, or a bare optimizer.
        param_name: the hyperparameter, such as ``"lr"`` or ``"weight_decay"``.
        begin: first unit in which the schedule acts. Defaults to 0.
        end: the unit before which it stops. Defaults to 1e9, which is never.
        last_step: steps taken by an earlier run; with 0 or more, groups must hold ``initial_<param_name>``. The
            default, -1, begins anew.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: log each value. Defaults to False.
        by: ``"epoch"``, ``"iter"``, or ``"update"`` for optimizer updates, of which there is one for each
            accumulation window; with it ``by_epoch`` follows. None (default) asks ``by_epoch``.

    Raises:
        OptimTypeError: ``optimizer`` is neither a wrapper nor an optimizer (a TypeError).
        ScheduleError: ``begin`` is negative, ``end`` is not behind ``begin``, or ``by`` is unknown (a ValueError).
        MissingValueError: a group lacks ``param_name``, or what an earlier run left there (a KeyError).
    """

    need_val_args = False
    """Whether the schedule follows a metric, so that it steps behind each validation."""

    # A scheduler written for MMEngine may set its attributes itself, without __init__ of this class.
    by: str = _UnitOfByEpoch()  # type: ignore[assignment]  # a descriptor, whose value is a str
    by_epoch: bool = True
    begin: float = 0
    end: float = INF

    # Arguments that count units, which build_iter_from_epoch multiplies; True where the argument is required.
    _counted_in_units: ClassVar[Mapping[str, bool]] = {}

    def __init__(
        self,
        optimizer: OptimizerType,
        param_name: str,
        begin: float = 0,
        end: float = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        by: str | None = None,
    ) -> None:
        self._attach(optimizer, param_name, begin, end, last_step, by_epoch, verbose, by)
        self._global_step = -1
        self.step()

    def _attach(
        self,
        optimizer: OptimizerType,
        param_name: str,
        begin: float,
        end: float,
        last_step: int,
        by_epoch: bool,
        verbose: bool,
        by: str | None,
    ) -> None:
        """Checks and stores the arguments that all schedulers have in common."""
        name = type(self).__name__
        if not isinstance(optimizer, (Optimizer, BaseOptimWrapper)):
            raise OptimTypeError(
                f"{name}: `optimizer` should be an Optimizer or OptimWrapper, not {type(optimizer).__name__}"
            )
        if begin < 0:
            raise ScheduleError(f"{name}: begin must be 0 or more, got {begin}", "begin")
        if end <= begin:
            raise ScheduleError(f"{name}: end should be larger than begin, got begin={begin} and end={end}", "end")
        if not isinstance(last_step, int) or last_step < -1:
            raise ScheduleError(f"{name}: last_step must be a whole number, -1 or more, got {last_step!r}", "last_step")
        self.optimizer = optimizer
        self.param_name = param_name
        self.begin = begin
        self.end = end
        self.by = _unit(name, by, by_epoch)
        self.by_epoch = self.by == "epoch"
        self.verbose = verbose
        self.last_step = last_step
        self.base_values = _base_values(name, optimizer, param_name, begins_anew=last_step == -1)
        self._last_value: list[Any] = []

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        begin: float = 0,
        end: float = INF,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """The same schedule, given in epochs, as one that moves at each iteration.

        Args:
            *args: the optimizer, and what else the class takes.
            begin: in epochs; fractions are fine.
            end: in epochs; fractions are fine.
            by_epoch: must be true, as the other arguments count epochs.
            epoch_length: iterations of an epoch.
            **kwargs: arguments of the class; those that count epochs (such as ``milestones``) by keyword.

        Raises:
            ScheduleError: ``by_epoch`` is false, or ``epoch_length`` not a positive number (a ValueError).
            OptimTypeError: an argument that counts epochs is missing (a TypeError).

        Examples:
            >>> optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
            >>> from eng.optim import MultiStepLR
            >>> sorted(MultiStepLR.build_iter_from_epoch(optimizer, milestones=[8, 11], epoch_length=10).milestones)
            [80, 110]
        """
        if not by_epoch or kwargs.get("by") not in (None, "epoch"):
            raise ScheduleError(f"{cls.__name__}: only a schedule that counts epochs can be converted", "by_epoch")
        if not isinstance(epoch_length, int) or epoch_length <= 0:
            raise ScheduleError(
                f"{cls.__name__}: epoch_length must be the positive number of iterations of an epoch, "
                f"got {epoch_length!r}",
                "epoch_length",
            )
        kwargs.pop("by", None)
        for name, required in cls._counted_in_units.items():
            if required and name not in kwargs:
                raise OptimTypeError(f"{cls.__name__}.build_iter_from_epoch needs {name!r} as a keyword")
            kwargs[name] = _in_iterations(kwargs.get(name), epoch_length)
        kwargs["begin"] = int(begin * epoch_length)
        kwargs["end"] = int(end * epoch_length) if end != INF else INF
        kwargs["by_epoch"] = False
        return cls(*args, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as plain data."""
        return {key: _plain(value) for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over the state of an earlier run, those of MMEngine included.

        Values per parameter group stay as they are where the number of groups has changed.

        Args:
            state_dict: what :meth:`state_dict` gave.
        """
        for key, value in state_dict.items():
            present = self.__dict__.get(key)
            if callable(value) or key == "optimizer":
                continue
            if key in ("base_values", "_last_value", "min_values") and present and len(present) != len(value):
                continue
            self.__dict__[key] = Counter(value) if isinstance(present, Counter) else value

    def load_progress(self, state_dict: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Takes over how far an earlier run was, and keeps the present settings; see :meth:`load_state_dict`.

        Args:
            state_dict: what :meth:`state_dict` gave in the earlier run.

        Returns:
            The arguments whose values differ, each with the value of the earlier run and the present one.
        """
        return load_progress(self, state_dict)

    def begin_anew(self) -> None:
        """Takes the first step again, from the values that the parameter groups hold now."""
        self.last_step = self._global_step = -1
        self._set_base_values(self.optimizer.param_groups)
        self.step()

    def write_last_values(self) -> None:
        """Gives the parameter groups the values that the last step left, where the optimizer's state is lost."""
        groups = self.optimizer.param_groups
        if len(self._last_value) != len(groups) or len(self.base_values) != len(groups):
            return
        for group, base in zip(groups, self.base_values, strict=True):
            group[f"initial_{self.param_name}"] = base
        self._write(groups, self._last_value)

    def get_last_value(self) -> list[Any]:
        """The values of the parameter groups, in their order, as the last step left them."""
        return self._last_value

    def _get_value(self) -> list[Any]:
        """The values for ``last_step``, one for each parameter group. Each subclass gives them.

        Raises:
            NotImplementedError: the subclass does not.
        """
        raise NotImplementedError(
            f"{type(self).__name__} gives no curve: define _get_value() -> list of a value for each group"
        )

    def print_value(self, is_verbose: bool, group: int, value: float) -> None:
        """Logs a value.

        Args:
            is_verbose: False does nothing.
            group: index of the parameter group.
            value: its value.
        """
        if is_verbose:
            logger.info("%s of parameter group %d is now %.4e", self.param_name, group, value)

    def step(self) -> None:
        """Ends a unit, and writes the values of the next."""
        self._global_step += 1
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_values):  # a group was added
            self._set_base_values(groups)
        if self.begin <= self._global_step < self.end:
            self.last_step += 1
            self._write(groups, self._get_value())
        name = self.param_name
        self._last_value = [
            value if isinstance(value, _NUMBERS) else _detached(value) for value in [group[name] for group in groups]
        ]

    def _write(self, groups: list[dict[str, Any]], values: list[Any]) -> None:
        """Sets the values of all parameter groups."""
        name = self.param_name
        for group, value in zip(groups, values, strict=True):
            if isinstance(group[name], _NUMBERS):
                group[name] = value
            elif isinstance(group[name], torch.Tensor):  # a compiled or capturable optimizer holds on to its tensor
                group[name].fill_(value)
            else:
                group[name] = value
        if self.verbose:
            for index, value in enumerate(values):
                self.print_value(True, index, value)

    def _warn_of_one_unit(self) -> None:
        """Warns where a curve has no second value, so that the first one would stay for good."""
        if self.end - self.begin == 1:
            logger.warning(
                "%s acts for one %s only (begin=%s, end=%s): %s stays at %s from then on. Make the span longer%s",
                type(self).__name__, self.by, self.begin, self.end, self.param_name, self._last_value,
                ", or set convert_to_iter_based=True" if self.by == "epoch" else "",
            )  # fmt: skip

    def _set_base_values(self, groups: list[dict[str, Any]]) -> None:
        """Takes the values before any schedule; a group that was added since begins with the value that it has."""
        name = self.param_name
        self.base_values = [group.setdefault(f"initial_{name}", _number(group[name])) for group in groups]

    def _present(self) -> list[Any]:
        name = self.param_name
        return [group[name] for group in self.optimizer.param_groups]


def _unit(name: str, by: str | None, by_epoch: bool) -> str:
    if by is None:
        return "epoch" if by_epoch else "iter"
    if by not in UNITS:
        raise ScheduleError(f"{name}: by must be one of {', '.join(UNITS)}, got {by!r}{suggest(by, UNITS)}", "by")
    return by


def _base_values(name: str, optimizer: OptimizerType, param_name: str, *, begins_anew: bool) -> list[float]:
    """The initial values of all groups, which a schedule that starts at step 0 writes into the groups."""
    key = f"initial_{param_name}"
    for index, group in enumerate(optimizer.param_groups):
        if begins_anew and param_name not in group:
            known = [known for known in group if known not in ("params", "param_names")]
            raise MissingValueError(
                f"{name}: parameter group {index} has no {param_name!r}{suggest(param_name, known)}"
            )
        if begins_anew:
            group.setdefault(key, _number(group[param_name]))
        elif key not in group:
            raise MissingValueError(
                f"{name}: param {key!r} is not specified in param_groups[{index}], which a schedule that goes on at last_step needs; "
                "load the optimizer's state first, or begin anew with last_step=-1"
            )
    return [group[key] for group in optimizer.param_groups]


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, torch.Tensor) else value


def _detached(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _in_iterations(value: Any, epoch_length: int) -> Any:
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [epochs * epoch_length for epochs in value]
    return value * epoch_length


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Counter) else value
