"""Parameters and optimizer state by the names that parameters have in the model."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from eng.checkpoint.unwrap import unwrap

from .errors import OptimError

logger = logging.getLogger(__name__)

# What wrappers (torch.compile, FSDP, activation checkpointing) put into the names of parameters.
_WRAPPING = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})


class ParameterNames:
    """The names of parameters, by identity. Empty until it has learned from a model."""

    def __init__(self) -> None:
        self._by_id: dict[int, str] = {}
        self._parameters: dict[str, nn.Parameter] = {}

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def learn(self, model: nn.Module) -> None:
        """Takes the names in ``model``; a parameter with several gets the first in the alphabet."""
        for name, parameter in unwrap(model).named_parameters(remove_duplicate=False):
            clean = ".".join(part for part in name.split(".") if part not in _WRAPPING)
            known = self._by_id.get(id(parameter))
            # The order of modules must not matter for a shared parameter.
            self._by_id[id(parameter)] = clean if known is None else min(known, clean)
            self._parameters[clean] = parameter

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def parameter(self, name: str) -> nn.Parameter | None:
        """The model's parameter of a name; None where the model has none."""
        return self._parameters.get(name)

    def of_groups(self, groups: Sequence[Mapping[str, Any]]) -> list[list[str]] | None:
        """For each group the names of its parameters; None where one is unknown."""
        if self._by_id:
            names: list[Any] = [[self._by_id.get(id(parameter)) for parameter in group["params"]] for group in groups]
        else:
            names = [group.get("param_names") for group in groups]
        if any(group is None or None in group for group in names):
            return None
        return names

    def of_parameters(self, groups: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any]]:
        """Each parameter with its name, or with its place where the name is unknown."""
        names = self.of_groups(groups)
        named = []
        for i, group in enumerate(groups):
            for j, parameter in enumerate(group["params"]):
                named.append((names[i][j] if names else f"param_groups.{i}.{j}", parameter))
        return named


def match_by_name(
    saved: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    names: Sequence[Sequence[str]] | None,
    in_model: Collection[str] = (),
) -> dict[str, Any]:
    """The saved state of an optimizer, in the order of another optimizer's parameters.

    Args:
        saved: ``state`` and ``param_groups``; the groups hold ``params`` and may hold ``param_names``.
        groups: the groups of the optimizer that is to load it.
        names: their parameters' names; None where they are unknown.
        in_model: names of all parameters of the model, for the message about those that no group has.

    Returns:
        what the optimizer's ``load_state_dict`` takes. Without names on both sides the order stays as it is.

    Raises:
        OptimError: not one name is on both sides.
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
    """Values of parameter groups that a saved state has otherwise, as they were before any schedule.

    Args:
        saved: ``state`` and ``param_groups``.
        groups: the groups of the optimizer that is to load it.
        names: their parameters' names; None compares groups by their order.
        settings: for each group the keys to compare, by their name in the optimizer's config.

    Returns:
        for each difference its name, the saved value, the present one, and in how many groups it occurs.
    """
    saved_groups = saved.get("param_groups", [])
    if names is not None and all("param_names" in group for group in saved_groups):
        owner = {name: group for group in saved_groups for name in group["param_names"]}
        sources = [next((owner[name] for name in group if name in owner), None) for group in names]
    else:
        sources = [*saved_groups, *[None] * len(groups)][: len(groups)]
    differences: dict[tuple[str, str], tuple[str, Any, Any, int]] = {}
    for group, source, keys in zip(groups, sources, settings, strict=True):
        for name, key in keys.items() if source is not None else ():
            before, now = (_unscheduled(values, key) for values in (source, group))
            if before != now:
                mark = (name, f"{before} {now}")
                differences[mark] = (name, before, now, differences.get(mark, (name, before, now, 0))[3] + 1)
    return list(differences.values())


def _unscheduled(group: Any, key: str) -> Any:
    value = group.get(f"initial_{key}", group.get(key))
    if hasattr(value, "item"):
        return value.item() if value.numel() == 1 else value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _without_names(group: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    # A live group with names accepts no further group without them, so names stay out of those that had none.
    keep_names = any("param_names" in live for live in groups)
    return {key: value for key, value in group.items() if keep_names or key != "param_names"}


def _settings(
    group: Mapping[str, Any], sources: Sequence[Mapping[str, Any]], saved_groups: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The values of a group: those that it was saved with, or its own, moved to where the schedules stand."""
    chosen = dict(sources[0]) if sources else _as_scheduled(group, saved_groups)
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
    """Warns of parameters whose optimizer state is missing or unused; an error where no name matches."""
    new, gone = [n for n in names if n not in places], sorted(set(places) - set(names))
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
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
