"""Call a model with a batch, and run the training step of a model inside a distributed wrapper."""

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
    """Calls ``model`` with a batch and ``mode``, and returns the model's output.

    A batch that is a mapping is passed as keyword arguments, a list or tuple as positional arguments, and a batch of
    any other type, such as a tensor, as the only positional argument. If the call fails because the batch holds lists
    of samples instead of tensors, the error gets a note about collate functions.

    Raises:
        BatchTypeError: the batch is None or a string (a TypeError).
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
    """Runs a training step of a model in a distributed wrapper: data preprocessor, forward, backward and update.

    The step calls the wrapper's forward instead of the model's, because only then does the wrapper average the
    gradients over the ranks.

    Args:
        wrapper: the distributed wrapper, with the model as its ``module``.
        data: a batch, as the dataloader yields it.
        optim_wrapper: the optimizer wrapper.
        before_update: function that is called with the summed loss between the forward and the backward, if not None.

    Returns:
        the values to log; see :meth:`eng.model.BaseModel.train_step`.
    """
    model = wrapper.module
    with watched("the training step"):
        with optim_wrapper.optim_context(wrapper):
            losses = wrapper._run_forward(model.data_preprocessor(data, True), mode="loss")  # noqa: SLF001  # of eng
        parsed_loss, log_vars = model.parse_losses(losses)
        if before_update is not None:
            before_update(parsed_loss)
        update_params(optim_wrapper, parsed_loss, losses)
    return log_vars  # type: ignore[no-any-return]  # the model's type is unknown


def free_gathered(model: nn.Module) -> None:
    """Frees the full parameters that ``fully_shard`` gathered for a forward, where no backward follows the forward.

    torch frees the gathered parameters in the backward. Without a backward, as in validation, the next forward would
    use the gathered copies again, although the shards may have changed meanwhile, for example by loading a checkpoint.
    """
    part: Any
    for part in model.modules():
        if hasattr(part, "reshard"):
            part.reshard()
