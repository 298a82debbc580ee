"""What can be wrong with a model's batch, losses and initialisation.

The first argument alone is the whole message: pickle, copy and torch's loader workers rebuild an error from its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eng.logging.near_names import suggest
from eng.logging.words import counted

_NOTHING: Any = object()


class LossTypeError(TypeError):
    """A loss dictionary that is none, or an entry of one that cannot be logged or summed.

    Attributes:
        name: key of the entry; None where it is the dictionary.
    """

    def __init__(self, name: str | None, value: Any = _NOTHING) -> None:
        super().__init__(name if value is _NOTHING else _wrong_loss(name, value))
        self.name = name


def _wrong_loss(name: str | None, value: Any) -> str:
    got = type(value).__name__
    if isinstance(value, (list, tuple)):
        got += " of " + ", ".join(sorted({type(item).__name__ for item in value}) or ["nothing"])
    if name is None:
        return f"forward(..., mode='loss') must return a dict of losses such as {{'loss': tensor}}, got {got}"
    return f"loss {name!r} must be a differentiable tensor, or several in a list, got {got}"


class NoLossError(ValueError):
    """A loss dictionary without an entry to train on."""

    def __init__(self, names: list[str] | str) -> None:
        super().__init__(
            names
            if isinstance(names, str)
            else f"no entry of the loss dictionary has 'loss' in its name, so nothing can be trained: {names}"
        )


class BatchTypeError(TypeError):
    """A batch, or a part of it, of a type that a model cannot take."""


class ModelValueError(ValueError, AssertionError):
    """An argument that a part of a model cannot have; an AssertionError too, as in MMEngine."""


class ModelTypeError(TypeError, AssertionError):
    """An argument of a type that a part of a model cannot have; an AssertionError too, as in MMEngine."""


class ImageShapeError(ModelValueError, RuntimeError):
    """An image, or a batch of them, of a shape that cannot be normalised or stacked; also what MMEngine raises then."""


class InitCfgError(ValueError):
    """An ``init_cfg`` that is incomplete."""


class OverrideTargetError(RuntimeError):
    """An ``override`` for a child that the module does not have.

    Attributes:
        name: the child it names.
    """

    def __init__(self, owner: object, name: str | None = None, cfg: Any = None, children: Sequence[str] = ()) -> None:
        hint = suggest(name, children, otherwise="", count=1)
        super().__init__(
            owner
            if name is None
            else f"an override names {name!r}, which {type(owner).__name__} has not{hint}; it says {cfg}"
        )
        self.name = name


class WrapperOptionError(ValueError):
    """An option of a model wrapper that has no meaning there.

    Attributes:
        option: its name.
    """

    def __init__(self, option: str, problem: str | None = None) -> None:
        super().__init__(option if problem is None else f"{option}: {problem}")
        self.option = option


class UnusedParametersError(RuntimeError):
    """Parameters of a data-parallel model took no part in the loss, so that the ranks wait for their gradients.

    Attributes:
        names: of the parameters.
    """

    def __init__(self, names: list[str] | str) -> None:
        self.names = [] if isinstance(names, str) else names
        modules = sorted({name.rpartition(".")[0] or "the model itself" for name in self.names})
        super().__init__(
            names
            if isinstance(names, str)
            else f"{counted(len(names), 'parameter')} took no part in the last loss: {', '.join(names)} (in {', '.join(modules)}). Use "
            "them, freeze them (requires_grad=False), or set model_wrapper_cfg=dict(type='MMDistributedDataParallel', "
            "find_unused_parameters=True), which costs a walk over the graph at each step"
        )
