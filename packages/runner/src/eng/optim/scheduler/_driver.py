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
# A value is checked for the types float and int first, because isinstance(value, torch.Tensor) takes several times as
# long.
_NUMBERS = (float, int)


class _UnitOfByEpoch:
    """Descriptor for the attribute ``by`` of schedulers that set only ``by_epoch``, as schedulers for MMEngine do.

    The value is ``"epoch"`` if ``by_epoch`` is true, else ``"iter"``.
    """

    def __get__(self, scheduler: Any, owner: type) -> str:
        return _unit_of(getattr(scheduler, "by_epoch", True))


class _ParamScheduler:
    """Base class of schedulers, which change one hyperparameter of an optimizer along a curve.

    Subclasses define the curve in the method ``_get_value``. The constructor takes the first step. Each later call of
    :meth:`step` ends one unit: an epoch, an iteration or an optimizer update. In units from ``begin`` up to ``end``
    (excluded) a step writes values into the parameter groups; in all other units the values are not changed. Several
    schedulers may change the same hyperparameter, one after the other or at the same time. Unlike torch's schedulers,
    a scheduler does not replace methods of the optimizer.

    Args:
        optimizer: the optimizer wrapper or optimizer whose parameter groups the schedule changes.
        param_name: name of the hyperparameter, such as ``"lr"`` or ``"weight_decay"``.
        begin: first unit in which the schedule changes the value. Defaults to 0.
        end: first unit in which the schedule does not change the value any more. Defaults to 1e9, which no run reaches.
        last_step: number of steps that the schedule took in an earlier run. With 0 or more, the parameter groups must
            have ``initial_<param_name>``. -1 (default) starts a new schedule.
        by_epoch: whether a unit is an epoch (True, the default) or an iteration.
        verbose: whether to log each new value of the hyperparameter. Defaults to False.
        by: the unit: ``"epoch"``, ``"iter"``, or ``"update"`` for an optimizer update, of which there is one per
            accumulation window. None (default) lets ``by_epoch`` decide; otherwise ``by_epoch`` is ignored.

    Raises:
        OptimTypeError: ``optimizer`` is neither a wrapper nor an optimizer (a TypeError).
        ScheduleError: ``begin`` is negative, ``end`` is not after ``begin``, or ``by`` is unknown (a ValueError).
        MissingValueError: a group has no ``param_name``, or with ``last_step`` no ``initial_<param_name>`` (a
            KeyError).
    """

    need_val_args = False
    """Whether the schedule follows a metric. Such a schedule steps after each validation."""

    # Defaults for schedulers that were written for MMEngine, which may set these attributes without calling this
    # class's __init__.
    by: str = _UnitOfByEpoch()  # type: ignore[assignment]  # a descriptor, whose value is a str
    by_epoch: bool = True
    begin: float = 0
    end: float = INF

    # Names of the constructor arguments that count units, which build_iter_from_epoch converts from epochs to
    # iterations. The value says whether the argument is required.
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
        """Checks and stores the constructor arguments that all schedulers have in common."""
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
        """Builds a scheduler that steps after each iteration, from arguments that count epochs.

        Args:
            *args: the optimizer, and further positional arguments of the scheduler class.
            begin: first epoch in which the schedule changes the value; may be a fraction.
            end: first epoch in which the schedule does not change the value any more; may be a fraction.
            by_epoch: must be true, since all other arguments count epochs.
            epoch_length: number of iterations of an epoch.
            **kwargs: keyword arguments of the scheduler class. Arguments that count epochs, such as ``milestones``,
                must be passed as keywords.

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
        """Returns all attributes of the scheduler except the optimizer, as plain Python data for a checkpoint."""
        return {key: _plain(value) for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the settings and the progress of an earlier run's scheduler; states of MMEngine are accepted too.

        If the number of parameter groups has changed since then, lists with one value per group are not restored.

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
        """Restores the progress of an earlier run's scheduler, such as ``last_step``, but keeps the present settings.

        In contrast, :meth:`load_state_dict` also restores the settings of the earlier run, such as ``gamma``.

        Args:
            state_dict: the result of :meth:`state_dict` in the earlier run.

        Returns:
            for each constructor argument whose value differs, a pair: the value of the earlier run and the present
            value.
        """
        return load_progress(self, state_dict)

    def begin_anew(self) -> None:
        """Restarts the schedule from its first step, which starts from the present values of the parameter groups."""
        self.last_step = self._global_step = -1
        self._set_base_values(self.optimizer.param_groups)
        self.step()

    def write_last_values(self) -> None:
        """Writes the hyperparameter's values of the last step into the parameter groups.

        After a resume this is needed if only the scheduler's state was saved, without the optimizer's. If the number of
        parameter groups has changed, no value is written.
        """
        groups = self.optimizer.param_groups
        if len(self._last_value) != len(groups) or len(self.base_values) != len(groups):
            return
        for group, base in zip(groups, self.base_values, strict=True):
            group[f"initial_{self.param_name}"] = base
        self._write(groups, self._last_value)

    def get_last_value(self) -> list[Any]:
        """Returns the hyperparameter's value in each parameter group after the last step, as a list."""
        return self._last_value

    def _get_value(self) -> list[Any]:
        """Computes the hyperparameter's value at ``last_step`` for each parameter group; subclasses define the curve.

        Raises:
            NotImplementedError: the subclass does not override this method.
        """
        raise NotImplementedError(
            f"{type(self).__name__} gives no curve: define _get_value() -> list of a value for each group"
        )

    def print_value(self, is_verbose: bool, group: int, value: float) -> None:
        """Logs the hyperparameter's value in a parameter group.

        Args:
            is_verbose: whether the value is logged; with False nothing happens.
            group: index of the parameter group.
            value: value of the hyperparameter in the group.
        """
        if is_verbose:
            logger.info("%s of parameter group %d is now %.4e", self.param_name, group, value)

    def step(self) -> None:
        """Ends the present unit, and writes the hyperparameter's values for the next unit to the parameter groups.

        A unit is an epoch, an iteration or an optimizer update. Before ``begin`` and from ``end`` on, no value is
        written.
        """
        self._global_step += 1
        groups = self.optimizer.param_groups
        # If a parameter group was added since the last step, the added group needs an initial value too.
        if len(groups) != len(self.base_values):
            self._set_base_values(groups)
        if self.begin <= self._global_step < self.end:
            self.last_step += 1
            self._write(groups, self._get_value())
        values = self._present()
        self._last_value = [value if isinstance(value, _NUMBERS) else _detached(value) for value in values]

    def _write(self, groups: list[dict[str, Any]], values: list[Any]) -> None:
        """Sets the hyperparameter in each parameter group to the group's value in ``values``."""
        name = self.param_name
        for group, value in zip(groups, values, strict=True):
            if isinstance(group[name], _NUMBERS):
                group[name] = value
            elif isinstance(group[name], torch.Tensor):
                # A compiled or capturable optimizer keeps a reference to the tensor, so the tensor is filled in place.
                group[name].fill_(value)
            else:
                group[name] = value
        if self.verbose:
            for index, value in enumerate(values):
                self.print_value(True, index, value)

    def _warn_of_one_unit(self) -> None:
        """Logs a warning if the schedule has a single unit, so that its first value would stay until the run ends."""
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
        """Stores the hyperparameter's initial value of each parameter group.

        For a group that was added during training, the initial value is its present value.
        """
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
    """Returns the hyperparameter's initial value of each parameter group, ``initial_<param_name>``.

    A new schedule (``begins_anew``) stores the present value as initial value in groups that have no initial value. A
    resumed schedule raises MissingValueError for such a group. ``name`` is the scheduler class in error messages.
    """
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
