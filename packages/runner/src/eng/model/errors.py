"""Exceptions of models: batches, losses, initialisation and wrappers.

Each class can be constructed from its message alone, because pickle, copy and torch's worker processes rebuild an
exception from its message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eng.logging.near_names import suggest
from eng.logging.words import counted

_NOTHING: Any = object()


class LossTypeError(TypeError):
    """A model returned no dictionary of losses, or a loss in the dictionary is neither a tensor nor a list of tensors.

    Attributes:
        name: key of the wrong entry; None if the losses are no dictionary.
    """

    def __init__(self, name: str | None, value: Any = _NOTHING) -> None:
        message = name
        if value is not _NOTHING:
            message = _describe_wrong_loss(name, value)
        super().__init__(message)
        self.name = name


def _describe_wrong_loss(name: str | None, value: Any) -> str:
    got = type(value).__name__
    if isinstance(value, (list, tuple)):
        got += " of " + ", ".join(sorted({type(item).__name__ for item in value}) or ["nothing"])
    if name is None:
        return f"forward(..., mode='loss') must return a dict of losses such as {{'loss': tensor}}, got {got}"
    return f"loss {name!r} must be a differentiable tensor, or several in a list, got {got}"


class NoLossError(ValueError):
    """A loss dictionary has no entry with ``loss`` in its name, so there is nothing to minimise."""

    def __init__(self, names: list[str] | str) -> None:
        message = names
        if not isinstance(names, str):
            message = f"no entry of the loss dictionary has 'loss' in its name, so nothing can be trained: {names}"
        super().__init__(message)


class BatchTypeError(TypeError):
    """A batch has a type that the model cannot process, or lacks a value that the model needs."""


class ModelValueError(ValueError, AssertionError):
    """A model got an argument with an invalid value.

    The class derives from AssertionError too, which MMEngine raises, so that existing ``except`` clauses still work.
    """


class ModelTypeError(TypeError, AssertionError):
    """A model got an argument of a wrong type.

    The class derives from AssertionError too, which MMEngine raises, so that existing ``except`` clauses still work.
    """


class ImageShapeError(ModelValueError, RuntimeError):
    """An image or a batch of images has a shape that cannot be normalised or stacked.

    The class derives from AssertionError, ValueError and RuntimeError, because MMEngine raises one of these for a wrong
    shape, and existing ``except`` clauses must still work.
    """


class InitCfgError(ValueError):
    """An ``init_cfg`` lacks a key, or no weight in its checkpoint has a name that begins with its ``prefix``."""


class OverrideTargetError(RuntimeError):
    """An ``override`` in an ``init_cfg`` names a submodule that the module does not have.

    Attributes:
        name: name of the missing submodule.
    """

    def __init__(self, owner: object, name: str | None = None, cfg: Any = None, children: Sequence[str] = ()) -> None:
        hint = suggest(name, children, otherwise="", count=1)
        message = owner
        if name is not None:
            message = f"an override names {name!r}, which {type(owner).__name__} has not{hint}; it says {cfg}"
        super().__init__(message)
        self.name = name


class WrapperOptionError(ValueError):
    """An option of a distributed model wrapper is unknown, or the wrapper does not support the option's value.

    Attributes:
        option: name of the option.
    """

    def __init__(self, option: str, problem: str | None = None) -> None:
        message = option
        if problem is not None:
            message = f"{option}: {problem}"
        super().__init__(message)
        self.option = option


class UnusedParametersError(RuntimeError):
    """The loss of a data-parallel model does not depend on some parameters, so their gradients cannot be averaged.

    Attributes:
        names: names of the parameters that the loss does not depend on.
    """

    def __init__(self, names: list[str] | str) -> None:
        if isinstance(names, str):  # The finished message: pickle recreates the error from its args.
            super().__init__(names)
            self.names: list[str] = []
            return
        modules = sorted({name.rpartition(".")[0] or "the model itself" for name in names})
        super().__init__(
            f"{counted(len(names), 'parameter')} took no part in the last loss: {', '.join(names)} "
            f"(in {', '.join(modules)}). Use them, freeze them (requires_grad=False), or set "
            "model_wrapper_cfg=dict(type='MMDistributedDataParallel', find_unused_parameters=True), which costs a walk "
            "over the graph at each step"
        )
        self.names = names
