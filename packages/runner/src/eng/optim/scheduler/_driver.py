"""The base class of all schedulers: counts units, and writes the values of a curve into the parameter groups."""

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
# Values are checked for these types first, because isinstance(value, torch.Tensor) takes several times as long.
_NUMBERS = (float, int)


class _UnitOfByEpoch:
    """Descriptor that gives a scheduler without an attribute ``by`` the unit that its ``by_epoch`` stands for."""

    def __get__(self, scheduler: Any, owner: type) -> str:
        return _unit_of(getattr(scheduler, "by_epoch", True))


class _ParamScheduler:
    """Changes one hyperparameter of an optimizer along a curve; subclasses define the curve in ``_get_value``.

    The constructor takes the first step. Each later call of :meth:`step` ends one unit: an epoch, an iteration or an
    optimizer update. In units from ``begin`` up to ``end`` (excluded) a step writes values into the parameter groups;
    in other units it does not change them. Several schedulers may change one hyperparameter, one after the other or at
    the same time. No method of the optimizer is replaced or wrapped.

    Args:
        optimizer: the optimizer wrapper or optimizer whose parameter groups the schedule changes.
        param_name: name of the hyperparameter, such as ``"lr"`` or ``"weight_decay"``.
        begin: first unit in which the schedule acts. Defaults to 0.
        end: first unit in which the schedule does not act any more. Defaults to 1e9, which no run reaches.
        last_step: number of steps that an earlier run has taken. With 0 or more, the groups must have
            ``initial_<param_name>``. -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value. Defaults to False.
        by: ``"epoch"``, ``"iter"``, or ``"update"`` for optimizer updates, one per accumulation window. If set, it
            overrides ``by_epoch``. None (default) leaves the choice to ``by_epoch``.

    Raises:
        OptimTypeError: ``optimizer`` is neither a wrapper nor an optimizer (a TypeError).
        ScheduleError: ``begin`` is negative, ``end`` is not after ``begin``, or ``by`` is unknown (a ValueError).
        MissingValueError: a group has no ``param_name``, or with ``last_step`` no ``initial_<param_name>`` (a
            KeyError).
    """

    need_val_args = False
    """Whether the schedule follows a metric. Such a schedule steps after each validation."""

    # Schedulers that were written for MMEngine may set these attributes themselves without calling __init__ here.
    by: str = _UnitOfByEpoch()  # type: ignore[assignment]  # a descriptor, whose value is a str
    by_epoch: bool = True
    begin: float = 0
    end: float = INF

    # Arguments that count units, so that build_iter_from_epoch multiplies them; the value tells if one is required.
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
        """Builds a scheduler that steps at each iteration from arguments that count epochs.

        Args:
            *args: the optimizer, and further positional arguments of the class.
            begin: first epoch in which the schedule acts; may be a fraction.
            end: first epoch in which the schedule does not act any more; may be a fraction.
            by_epoch: must be true, since the other arguments count epochs.
            epoch_length: iterations of an epoch.
            **kwargs: arguments of the class. Arguments that count epochs, such as ``milestones``, must be keywords.

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
        kwargs["end"] = end
        if end != INF:
            kwargs["end"] = int(end * epoch_length)
        kwargs["by_epoch"] = False
        return cls(*args, **kwargs)

    def state_dict(self) -> dict[str, Any]:
        """Returns all attributes except the optimizer, as plain data."""
        return {key: _plain(value) for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state of an earlier run; states that MMEngine saved are accepted too.

        If the number of parameter groups has changed, the values per group keep their present state.

        Args:
            state_dict: the result of :meth:`state_dict` in the earlier run.
        """
        for key, value in state_dict.items():
            present = self.__dict__.get(key)
            if callable(value) or key == "optimizer":
                continue
            if key in ("base_values", "_last_value", "min_values") and present and len(present) != len(value):
                continue
            if isinstance(present, Counter):
                self.__dict__[key] = Counter(value)
            else:
                self.__dict__[key] = value

    def load_progress(self, state_dict: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Restores the progress of an earlier run but keeps the settings of this scheduler.

        :meth:`load_state_dict` restores the settings too.

        Args:
            state_dict: the result of :meth:`state_dict` in the earlier run.

        Returns:
            for each argument whose value differs, the value of the earlier run and the present value.
        """
        return load_progress(self, state_dict)

    def begin_anew(self) -> None:
        """Restarts the schedule: takes the first step again, from the present values of the parameter groups."""
        self.last_step = self._global_step = -1
        self._set_base_values(self.optimizer.param_groups)
        self.step()

    def write_last_values(self) -> None:
        """Writes the values of the last step into the parameter groups, if the optimizer's state was not saved."""
        groups = self.optimizer.param_groups
        if len(self._last_value) != len(groups) or len(self.base_values) != len(groups):
            return
        for group, base in zip(groups, self.base_values, strict=True):
            group[f"initial_{self.param_name}"] = base
        self._write(groups, self._last_value)

    def get_last_value(self) -> list[Any]:
        """Returns the value of each parameter group after the last step, in the order of the groups."""
        return self._last_value

    def _get_value(self) -> list[Any]:
        """Computes the values for ``last_step``, one per parameter group; each subclass overrides this method.

        Raises:
            NotImplementedError: the subclass does not override it.
        """
        raise NotImplementedError(
            f"{type(self).__name__} gives no curve: define _get_value() -> list of a value for each group"
        )

    def print_value(self, is_verbose: bool, group: int, value: float) -> None:
        """Logs the value of a parameter group.

        Args:
            is_verbose: False logs nothing.
            group: index of the parameter group.
            value: value of the hyperparameter in that group.
        """
        if is_verbose:
            logger.info("%s of parameter group %d is now %.4e", self.param_name, group, value)

    def step(self) -> None:
        """Ends the present unit, and writes the values of the next unit into the parameter groups."""
        self._global_step += 1
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_values):  # A parameter group was added since the last step.
            self._set_base_values(groups)
        if self.begin <= self._global_step < self.end:
            self.last_step += 1
            self._write(groups, self._get_value())
        values = self._present()
        self._last_value = [value if isinstance(value, _NUMBERS) else _detached(value) for value in values]

    def _write(self, groups: list[dict[str, Any]], values: list[Any]) -> None:
        """Sets the hyperparameter in all parameter groups."""
        name = self.param_name
        for group, value in zip(groups, values, strict=True):
            if isinstance(group[name], _NUMBERS):
                group[name] = value
            elif isinstance(group[name], torch.Tensor):
                # A compiled or capturable optimizer keeps a reference to the tensor, so it is filled, not replaced.
                group[name].fill_(value)
            else:
                group[name] = value
        if self.verbose:
            for index, value in enumerate(values):
                self.print_value(True, index, value)

    def _warn_of_one_unit(self) -> None:
        """Warns if the schedule acts for a single unit, so that its first value would stay for the rest of the run."""
        if self.end - self.begin != 1:
            return
        advice = ""
        if self.by == "epoch":
            advice = ", or set convert_to_iter_based=True"
        logger.warning(
            "%s acts for one %s only (begin=%s, end=%s): %s stays at %s from then on. Make the span longer%s",
            type(self).__name__, self.by, self.begin, self.end, self.param_name, self._last_value, advice,
        )  # fmt: skip

    def _set_base_values(self, groups: list[dict[str, Any]]) -> None:
        """Stores the initial value of each group; a group that was added starts with its present value."""
        name = self.param_name
        self.base_values = [group.setdefault(f"initial_{name}", _number(group[name])) for group in groups]

    def _present(self) -> list[Any]:
        name = self.param_name
        return [group[name] for group in self.optimizer.param_groups]


def _unit(name: str, by: str | None, by_epoch: bool) -> str:
    if by is None:
        return _unit_of(by_epoch)
    if by not in UNITS:
        raise ScheduleError(f"{name}: by must be one of {', '.join(UNITS)}, got {by!r}{suggest(by, UNITS)}", "by")
    return by


def _unit_of(by_epoch: bool) -> str:
    if by_epoch:
        return "epoch"
    return "iter"


def _base_values(name: str, optimizer: OptimizerType, param_name: str, *, begins_anew: bool) -> list[float]:
    """Returns the initial value of each group, ``initial_<param_name>``, which a new schedule sets in each group."""
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
    if isinstance(value, torch.Tensor):
        return float(value)
    return value


def _detached(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    return value


def _in_iterations(value: Any, epoch_length: int) -> Any:
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [epochs * epoch_length for epochs in value]
    return value * epoch_length


def _plain(value: Any) -> Any:
    if isinstance(value, Counter):
        return dict(value)
    return value
