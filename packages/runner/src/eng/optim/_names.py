"""Match an optimizer's state to parameters by the names that the parameters have in the model."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from eng.checkpoint.unwrap import unwrap

from .errors import OptimError

logger = logging.getLogger(__name__)

# torch.compile, FSDP and activation checkpointing insert components such as `_orig_mod` into the names of parameters.
# These components are removed, so that names do not depend on the wrapping.
_WRAPPING = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})


class ParameterNames:
    """A two-way table of a model's parameters and their names; empty until :meth:`learn` is called with the model.

    A parameter is looked up by its identity, since an optimizer holds parameters without names.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, str] = {}
        self._parameters: dict[str, nn.Parameter] = {}

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def learn(self, model: nn.Module) -> None:
        """Stores the parameters of ``model`` with their names, without components such as ``_orig_mod`` of wrappers.

        A parameter that several modules share is found under each of its names. The name that is shown for it is the
        alphabetically first one, which does not depend on the order of the modules.
        """
        for name, parameter in unwrap(model).named_parameters(remove_duplicate=False):
            clean = ".".join(part for part in name.split(".") if part not in _WRAPPING)
            self._by_id[id(parameter)] = min(clean, self._by_id.get(id(parameter), clean))
            self._parameters[clean] = parameter

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def parameter(self, name: str) -> nn.Parameter | None:
        """Returns the model's parameter of this name; None if the model has no such parameter."""
        return self._parameters.get(name)

    def of_groups(self, groups: Sequence[Mapping[str, Any]]) -> list[list[str]] | None:
        """Returns for each parameter group the list of its parameters' names; None if a parameter has no known name."""
        if self._by_id:
            names: list[Any] = [[self._by_id.get(id(parameter)) for parameter in group["params"]] for group in groups]
        else:
            names = [group.get("param_names") for group in groups]
        if any(group is None or None in group for group in names):
            return None
        return names

    def of_parameters(self, groups: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
        """Returns a list of (name, parameter) pairs for all parameters of an optimizer's parameter groups.

        If the name of any parameter is unknown, positions such as ``param_groups.0.3`` are used as names for all.
        """
        names = self.of_groups(groups)
        if not names:
            names = [[f"param_groups.{i}.{j}" for j in range(len(group["params"]))] for i, group in enumerate(groups)]
        named: list[tuple[str, Any]] = []
        for group_names, group in zip(names, groups, strict=True):
            named.extend(zip(group_names, group["params"], strict=True))
        return named


def match_by_name(
    saved: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    names: Sequence[Sequence[str]] | None,
    in_model: Collection[str] = (),
) -> dict[str, Any]:
    """Reorders a saved optimizer state by parameter names, for an optimizer with another order of its parameters.

    torch's ``load_state_dict`` assigns saved states to parameters by their order, which changes when layers of the
    model are reordered or added.

    Args:
        saved: the saved state: ``state`` and ``param_groups``, whose groups hold ``params`` and may hold
            ``param_names``.
        groups: the parameter groups of the optimizer that will load the state.
        names: for each group of ``groups`` the names of its parameters; None if the names are unknown.
        in_model: names of all parameters of the model. With these names the warning about unused state can say which
            parameters the model still has, although no group trains them.

    Returns:
        a state for the optimizer's ``load_state_dict``. If the saved state has no names, or ``names`` is None, the
        order of the saved state is kept.

    Raises:
        OptimError: the saved state and the optimizer have no parameter name in common.
    """
    saved_groups = saved.get("param_groups", [])
    if names is None or not all("param_names" in group for group in saved_groups) or not saved_groups:
        return {**saved, "param_groups": [_without_names(group, groups) for group in saved_groups]}
    places = {}
    for group in saved_groups:
        places.update({name: (key, group) for key, name in zip(group["params"], group["param_names"], strict=True)})
    _report(places, [name for group_names in names for name in group_names], in_model)
    state: dict[int, Any] = {}
    matched = []
    position = 0
    for group, group_names in zip(groups, names, strict=True):
        settings = _settings(group, [places[name][1] for name in group_names if name in places], saved_groups)
        for offset, name in enumerate(group_names):
            if name in places and places[name][0] in saved["state"]:
                state[position + offset] = saved["state"][places[name][0]]
        matched.append({**settings, "params": list(range(position, position + len(group_names)))})
        position += len(group_names)
    return {**saved, "state": state, "param_groups": matched}


def settings_that_differ(
    saved: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    names: Sequence[Sequence[str]] | None,
    settings: Sequence[Mapping[str, str]],
) -> list[tuple[str, Any, Any, int]]:
    """Lists the settings, such as ``weight_decay``, in which parameter groups differ from those of a saved state.

    A setting that a schedule changes is compared by its initial value.

    Args:
        saved: the saved optimizer state: ``state`` and ``param_groups``.
        groups: the parameter groups of the optimizer that will load the state.
        names: for each group of ``groups`` the names of its parameters, by which the saved group is selected; None
            compares groups by their order.
        settings: for each group of ``groups`` the keys of the group to compare, by the setting's name in the
            optimizer's config.

    Returns:
        for each setting that differs a tuple: the setting's name, the saved value, the present value, and the number of
        groups with this difference.
    """
    saved_groups = saved.get("param_groups", [])
    if names is not None and all("param_names" in group for group in saved_groups):
        owner = {name: group for group in saved_groups for name in group["param_names"]}
        sources = [next((owner[name] for name in group if name in owner), None) for group in names]
    else:
        sources = [*saved_groups, *[None] * len(groups)][: len(groups)]
    differences: dict[tuple[str, str], tuple[str, Any, Any, int]] = {}
    for group, source, keys in zip(groups, sources, settings, strict=True):
        if source is None:
            continue
        for name, key in keys.items():
            before = _unscheduled_value(source, key)
            now = _unscheduled_value(group, key)
            if before != now:
                identity = (name, f"{before} {now}")
                count = differences.get(identity, (name, before, now, 0))[3]
                differences[identity] = (name, before, now, count + 1)
    return list(differences.values())


def _unscheduled_value(group: Any, key: str) -> Any:
    """Returns the value of a parameter group's setting before schedules changed the setting (``initial_<key>``).

    Tensors and tuples are converted to numbers and lists, so that two values can be compared by ``==``.
    """
    value = group.get(f"initial_{key}", group.get(key))
    if hasattr(value, "item"):
        if value.numel() == 1:
            return value.item()
        return value.tolist()
    if isinstance(value, tuple):
        return list(value)
    return value


def _without_names(group: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # torch refuses to mix parameter groups with and without `param_names` in one optimizer. So the saved names are
    # dropped unless the groups of the present optimizer have names too.
    keep_names = any("param_names" in live for live in groups)
    return {key: value for key, value in group.items() if keep_names or key != "param_names"}


def _settings(
    group: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], saved_groups: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Returns the settings, such as ``lr``, that a parameter group has after a saved optimizer state was loaded.

    The settings are those of the saved group of the first parameter. A group whose parameters are all new keeps its own
    settings, changed by the factor by which schedules have changed the saved groups so far.

    Args:
        group: the group of the optimizer that loads the state.
        sources: for each saved parameter of ``group`` the saved group that had the parameter; empty if all parameters
            are new.
        saved_groups: all groups of the saved state.
    """
    if sources:
        chosen = dict(sources[0])
    else:
        chosen = _as_scheduled(group, saved_groups)
    if any(_values(source) != _values(sources[0]) for source in sources[1:]):
        logger.warning(
            "A parameter group is made of groups that were saved with different values; it takes those of the first: %s",
            _values(sources[0]),
        )
    if "param_names" in group:
        chosen["param_names"] = group["param_names"]
    else:
        chosen.pop("param_names", None)
    return chosen


def _as_scheduled(group: Mapping[str, Any], saved_groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the settings of a new parameter group, changed as the schedules have changed the saved groups so far.

    Each scheduled setting is multiplied by the factor (present value / initial value) of the saved groups. If the
    factors of the saved groups differ, the setting is not changed.
    """
    settings = {key: value for key, value in group.items() if key != "params"}
    for initial in [key for key in saved_groups[0] if key.startswith("initial_")]:
        key = initial.removeprefix("initial_")
        ratios = [saved[key] / saved[initial] for saved in saved_groups if saved.get(initial)]
        if key in settings and ratios and all(math.isclose(ratio, ratios[0], rel_tol=1e-6) for ratio in ratios):
            base = settings.get(initial, settings[key])
            settings[initial], settings[key] = base, base * ratios[0]
    return settings


def _values(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key not in ("params", "param_names")}


def _report(places: Mapping[str, Any], names: Sequence[str], in_model: Collection[str]) -> None:
    """Warns of parameters that have no saved optimizer state, and of saved state that no parameter uses.

    ``places`` has the saved parameter names as keys, ``names`` are the names of the optimizer's parameters, and
    ``in_model`` those of all parameters of the model. If no name of the optimizer is saved, OptimError is raised.
    """
    new = [name for name in names if name not in places]
    gone = sorted(set(places) - set(names))
    if len(new) == len(names):
        raise OptimError(
            "the optimizer's state belongs to other parameters: none of its names is in this model. "
            f"It has {_some(gone)}; the model has {_some(new)}"
        )
    if new:
        logger.warning("The optimizer's state has nothing for %s; they begin anew", _some(new))
    left_out = [name for name in gone if name in in_model]
    if left_out:
        logger.warning(
            "The optimizer's state of %s is not used: no parameter group of this run has them, so they are not trained",
            _some(left_out),
        )
    unknown = [name for name in gone if name not in in_model]
    if unknown:
        logger.warning("The optimizer's state of %s is not used: the model has no such parameters", _some(unknown))


def _some(names: Sequence[str]) -> str:
    text = ", ".join(names[:4])
    if len(names) > 4:
        text += f" and {len(names) - 4} more"
    return text
