"""How a model is called with a batch, and the training step of a wrapper around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from eng.dist import watched
from eng.logging.notes import add_note

from ._losses import update_params
from ._unstacked import unstacked_hint
from .errors import BatchTypeError


def run_forward(model: nn.Module, data: Any, mode: str) -> Any:
    """Calls ``model`` with a batch: the keys of a mapping are keywords, the items of a list or tuple positional arguments.

    A batch of any other type, such as a bare tensor, is the only positional argument.

    Raises:
        BatchTypeError: the batch is text, or nothing (a TypeError).
    """
    try:
        if isinstance(data, (list, tuple)):
            return model(*data, mode=mode)
        if isinstance(data, Mapping):
            return model(**data, mode=mode)
    except (TypeError, ValueError, AttributeError) as error:
        hint = unstacked_hint(error, data)
        if hint is not None:
            add_note(error, hint)
        raise
    if data is None or isinstance(data, (str, bytes)):
        raise BatchTypeError(
            f"{type(model).__name__} can be called with a batch that is a tensor, an object, a dict, a tuple or a list; from "
            f"its data_preprocessor came a {type(data).__name__}"
        )
    return model(data, mode=mode)


def train_wrapped(
    wrapper: Any, data: Any, optim_wrapper: Any, before_update: Callable[[torch.Tensor], object] | None = None
) -> dict[str, torch.Tensor]:
    """One training step of the model in a wrapper, whose own forward runs so that ranks hear of one another.

    Args:
        wrapper: around the model, its ``module``.
        data: a batch, as the loader gives it.
        optim_wrapper: takes the loss.
        before_update: called with the loss.

    Returns:
        The log variables; see :meth:`eng.model.BaseModel.train_step`.
    """
    model = wrapper.module
    with watched("the training step"):
        with optim_wrapper.optim_context(wrapper):
            losses = wrapper._run_forward(model.data_preprocessor(data, True), mode="loss")  # noqa: SLF001  # of this family
        parsed_loss, log_vars = model.parse_losses(losses)
        if before_update is not None:
            before_update(parsed_loss)
        update_params(optim_wrapper, parsed_loss, losses)
    return log_vars  # type: ignore[no-any-return]  # module is any model


def free_gathered(model: nn.Module) -> None:
    """Frees parameters that a forward of ``fully_shard`` gathered and that wait for a backward, which does not come.

    A later forward would use them in place of shards that were changed meanwhile, by an average or by a checkpoint.
    """
    part: Any
    for part in model.modules():
        if hasattr(part, "reshard"):
            part.reshard()
