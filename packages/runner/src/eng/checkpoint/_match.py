"""Load weights into a model, and report which keys matched."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from eng.dist import get_rank
from eng.logging import print_log

from ._text import visible
from .errors import StateMismatchError
from .torch_internals import child_modules, load_entries, module_versions, run_load_hooks
from .unwrap import name_in_checkpoint, weights_owner

__all__ = ["LoadReport", "load_state_dict"]

_SHOWN = 20


@dataclass(frozen=True)
class LoadReport:
    """The result of loading weights into a model.

    Attributes:
        matched: keys that were loaded.
        missing: keys of the model that are not in the file.
        unexpected: keys of the file that are not in the model.
        wrong_shape: for each key that was not loaded because of its shape, the shape in the model and in the file.
        errors: messages of further errors that torch reported while it loaded the weights.
        num_parameters: number of elements of all parameters of the model.
        num_loaded: number of elements of the parameters that were loaded.
        num_in_file: number of elements of all tensors in the file.
        num_used: number of elements of the file's tensors that were loaded.
    """

    matched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    wrong_shape: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    num_parameters: int = 0
    num_loaded: int = 0
    num_in_file: int = 0
    num_used: int = 0

    @property
    def share(self) -> float:
        """Number of loaded elements of parameters, divided by the number of elements of all the model's parameters."""
        if not self.num_parameters:
            return 1.0
        return self.num_loaded / self.num_parameters

    @property
    def share_of_file(self) -> float:
        """Number of the file's tensor elements that were loaded, divided by the number of all elements in the file."""
        if not self.num_in_file:
            return 1.0
        return self.num_used / self.num_in_file

    @property
    def fits(self) -> bool:
        """Whether checkpoint and model have the same keys and shapes, and no module reported an error while loading."""
        return not (self.missing or self.unexpected or self.wrong_shape or self.errors)

    def __str__(self) -> str:
        """Returns the report that is logged: how much was loaded, then the keys that were not, at most 20 per kind.

        If no parameter was loaded at all, the report ends with advice on renaming the keys.
        """
        loaded = (
            f"{self.share:.1%} of the model's parameters were loaded ({self.num_loaded:,} of {self.num_parameters:,})"
        )
        lines = [f"{len(self.matched)} entries matched: {loaded}"]
        shapes = [f"{key}: the model has {ours}, the file {theirs}" for key, (ours, theirs) in self.wrong_shape.items()]
        lines += _listed("of another shape", shapes)
        lines += _listed("missing in the file", self.missing)
        lines += _listed("not in the model", self.unexpected)
        lines += _listed("failed", self.errors)
        if not self.share and self.num_parameters:
            lines.append(self._advice())
        return "\n".join(lines)

    def _advice(self) -> str:
        ours, theirs = next(iter(self.missing), "nothing"), next(iter(self.unexpected), "nothing")
        return (
            f"nothing fits: is this the checkpoint of another model? The model's keys look like {ours!r}, the file's "
            f"like {theirs!r}; revise_keys of load_checkpoint renames keys"
        )


def _listed(title: str, items: Any) -> list[str]:
    """Returns lines of text: a title, and one line for each of the first items; no lines if there are no items."""
    items = list(items)
    if not items:
        return []
    lines = [f"{title} ({len(items)}):", *(f"  {visible(item)}" for item in items[:_SHOWN])]
    if len(items) > _SHOWN:
        lines.append(f"  ... and {len(items) - _SHOWN} more")
    return lines


def load_state_dict(
    module: nn.Module, state_dict: Mapping[str, Any], strict: bool = False, logger: logging.Logger | str | None = None
) -> LoadReport:
    """Loads all weights whose keys and shapes match the model, and reports keys and shapes that do not match.

    Args:
        module: the model, with or without wrappers such as DistributedDataParallel.
        state_dict: weights by key.
        strict: whether missing keys, unexpected keys and different shapes are an error (default: False). The matching
            weights are loaded before the error is raised.
        logger: logger for the report on keys that do not match, see :func:`eng.logging.print_log`; only rank 0 logs.

    Raises:
        StateMismatchError: with `strict`, keys or shapes do not match. It is a RuntimeError, like torch's error.

    Examples:
        >>> report = load_state_dict(nn.Linear(2, 1), {"weight": torch.ones(1, 2)}, logger="silent")
        >>> report.matched, report.missing
        (('weight',), ('bias',))
    """
    model = weights_owner(module)
    state = OrderedDict(state_dict)
    loading = _Loading(state, module_versions(state_dict) or {})
    loading.load_into(model)
    report = loading.report(model)
    if report.fits:
        return report
    if strict:
        raise StateMismatchError(report)
    if get_rank() == 0:
        print_log(f"the weights do not fit the model entirely; {report}", logger=logger, level=logging.WARNING)
    return report


class _Loading:
    """Loads weights into a model module by module, and collects the keys that do not match.

    A module with an own ``_load_from_state_dict`` may rename or reshape its entries in ``state``.
    """

    def __init__(self, state: OrderedDict[str, Any], versions: Mapping[str, Any]) -> None:
        self.state = state
        self.versions = versions
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []

    def load_into(self, module: nn.Module, prefix: str = "") -> None:
        module = weights_owner(module)
        versions = self.versions.get(prefix[:-1], {})
        load_entries(module, self.state, prefix, versions, self.missing, self.unexpected, self.errors)
        for name, child in child_modules(module):
            self.load_into(child, f"{prefix}{name}.")
        run_load_hooks(module, self.missing, self.unexpected)

    def _take_checkpoint_names(self, model: nn.Module) -> None:
        """Renames the collected keys to the names that weights have in checkpoints, see :func:`name_in_checkpoint`.

        Modules may have renamed keys to names of their own while they were loaded.
        """
        self.state = OrderedDict((name_in_checkpoint(model, name), value) for name, value in self.state.items())
        self.missing = [name_in_checkpoint(model, name) for name in self.missing]
        self.unexpected = [name_in_checkpoint(model, name) for name in self.unexpected]

    def report(self, model: nn.Module) -> LoadReport:
        """Returns what was loaded: missing and unexpected keys, keys of another shape, and errors of the modules."""
        from ._state import get_state_dict

        model_state = get_state_dict(model, keep_vars=True)
        self._take_checkpoint_names(model)
        wrong = {}
        for key, value in model_state.items():
            stored = self.state.get(key)
            if not isinstance(value, torch.Tensor) or not isinstance(stored, torch.Tensor):
                continue
            if _shape_differs(value, stored):
                wrong[key] = (tuple(value.shape), tuple(stored.shape))
        failed = [text for text in self.errors if not text.startswith("size mismatch")]
        lost = {key for key in model_state if any(f'"{key}"' in text for text in failed)}
        matched = [key for key in model_state if key in self.state and key not in wrong and key not in lost]
        # A tied parameter occurs under several keys; by its id it is counted only once.
        counted = {
            id(value): (key, value.numel()) for key, value in model_state.items() if isinstance(value, nn.Parameter)
        }
        loaded = {id(model_state[key]) for key in matched}
        missing = [
            key for key in dict.fromkeys(self.missing) if not key.endswith("num_batches_tracked") or key in model_state
        ]
        return LoadReport(
            tuple(matched), tuple(missing), tuple(dict.fromkeys(self.unexpected)), wrong, tuple(failed),
            sum(number for _, number in counted.values()),
            sum(number for ident, (_, number) in counted.items() if ident in loaded),
            sum(value.numel() for value in self.state.values() if isinstance(value, torch.Tensor)),
            sum(self.state[key].numel() for key in matched if isinstance(self.state[key], torch.Tensor)),
        )  # fmt: skip


def _shape_differs(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    # Files of torch before 0.4 hold a tensor of shape (1,) for a parameter that has no dimensions today. torch loads
    # such a tensor, so the shapes count as equal.
    return ours.shape != theirs.shape and not (ours.dim() == 0 and theirs.shape == (1,))
