"""Running a model for its costs alone: on meta tensors where that works, on real ones where it does not."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import nn

from eng.analysis._cost import tensors_in
from eng.analysis._sparse import is_sparse
from eng.analysis.errors import AnalysisError

logger = logging.getLogger(__name__)
Observer = TypeVar("Observer")


def observe(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    observation: Callable[[nn.Module], AbstractContextManager[Observer]],
    *,
    backward: bool = False,
) -> Observer:
    """Runs the model once under an observation and gives what it observed.

    Parameters, buffers and inputs are stood in for by meta tensors, which have shapes and no memory. A forward that needs
    values (``if x.sum() > 0``) fails on them; then it runs again on the real tensors, and a warning says so. Models and
    inputs with sparse tensors run on real ones at once. The model's own parameters and buffers are not changed.

    Args:
        model: any module.
        args: positional inputs of its forward.
        kwargs: keyword inputs of its forward.
        observation: makes a fresh context manager for each attempt, as a failed one has seen half a run.
        backward: also run backward from the sum of all outputs.

    Raises:
        Exception: what the forward itself raised on real tensors, with a note naming the module.
    """
    model = materialised(unwrapped(model), args, kwargs)
    if any(is_sparse(tensor) for tensor in (*model.parameters(), *model.buffers(), *tensors_in((args, kwargs)))):
        # A stand-in would not know how many elements are stored.
        return _attempt(model, args, kwargs, observation, backward, device=None)
    try:
        return _attempt(model, _meta(args), _meta(kwargs), observation, backward, device="meta")
    except Exception as error:  # whatever it is, the run on real tensors below shows whether it is the user's
        if _lives_on_meta(model):
            raise
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    result = _attempt(model, args, kwargs, observation, backward, device=None)
    logger.warning("The forward needs real values (on meta tensors: %s); it was counted on real tensors.", reason)
    return result


def _attempt(
    model: nn.Module,
    args: Any,
    kwargs: Any,
    observation: Callable[[nn.Module], AbstractContextManager[Observer]],
    backward: bool,
    device: str | None,
) -> Observer:
    factory = torch.device(device) if device else _nothing()
    state = _stand_ins(model, device)  # before anything observes: making them is no part of the run
    with torch.random.fork_rng(), torch.set_grad_enabled(backward), _eager(), observation(model) as observer:
        with factory, naming_the_module(model):
            outputs = _call(model, state, args, kwargs)
        if backward:
            _backward(outputs)
    return observer


def _stand_ins(model: nn.Module, device: str | None) -> dict[str, torch.Tensor]:
    state = {name: _stand_in(tensor, device) for name, tensor in model.named_parameters()}
    # Buffers are copied also on real tensors: a forward in training mode would move the running statistics.
    return state | {name: _stand_in(tensor, device, copied=True) for name, tensor in model.named_buffers()}


def _call(model: nn.Module, state: dict[str, torch.Tensor], args: Any, kwargs: Any) -> Any:
    if isinstance(model, torch.jit.ScriptModule):
        return model(*args, **kwargs)
    return torch.func.functional_call(model, state, tuple(args), dict(kwargs))


def _stand_in(tensor: torch.Tensor, device: str | None, *, copied: bool = False) -> torch.Tensor:
    if device:
        return torch.empty_like(tensor, device=device).requires_grad_(tensor.requires_grad)
    return tensor.detach().clone() if copied else tensor.detach().requires_grad_(tensor.requires_grad)


def _backward(outputs: Any) -> None:
    roots = [tensor for tensor in tensors_in(outputs) if tensor.requires_grad]
    if not roots:
        raise AnalysisError("backward=True: no output of the forward requires a gradient; is everything frozen?")
    torch.autograd.backward(roots, [torch.ones_like(root) for root in roots])


@contextmanager
def naming_the_module(model: nn.Module) -> Iterator[None]:
    """Adds to an error of the forward the name of the innermost module that was running."""
    names = {module: name for name, module in model.named_modules()}
    running: list[nn.Module] = []
    handles = []
    for module in names:
        if not isinstance(module, torch.jit.ScriptModule):
            handles.append(module.register_forward_pre_hook(lambda module, _: running.append(module)))
            handles.append(module.register_forward_hook(lambda module, *_: _forget(running, module)))
    try:
        yield
    except Exception as error:
        if running:
            where = names[running[-1]] or "the model itself"
            note = f"while analysing: the forward of {where} ({type(running[-1]).__name__}) failed"
            if hasattr(error, "add_note"):  # Python 3.11
                error.add_note(note)
            logger.debug(note)
        raise
    finally:
        for handle in handles:
            handle.remove()


def _forget(running: list[nn.Module], module: nn.Module) -> None:
    """Takes off the module that ends, and parts on top of it whose error its forward caught.

    Gives None: what a forward hook gives takes the place of the output.
    """
    while running.pop() is not module:
        pass


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _eager() -> Iterator[None]:
    """Compiled parts run uncompiled, so that their operators can be seen."""
    with torch.compiler.set_stance("force_eager"):
        yield


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside `DataParallel`, `DistributedDataParallel` and `torch.compile`."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = cast(nn.Module, model.module)
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = cast(nn.Module, model._orig_mod)  # noqa: SLF001  # torch.compile's wrapper; torch documents the name for state dicts
        else:
            return model


def materialised(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> nn.Module:
    """The model, or where it has lazily initialised parameters a copy of it that one forward has given its shapes."""
    tensors = [*model.parameters(), *model.buffers()]
    if not any(nn.parameter.is_lazy(tensor) for tensor in tensors):
        return model
    model = copy.deepcopy(model)
    with torch.no_grad():
        model(*args, **kwargs)
    return model


def _lives_on_meta(model: nn.Module) -> bool:
    return any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))


def _meta(value: Any) -> Any:
    """The same nested value with meta tensors for its tensors."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("meta").requires_grad_(value.requires_grad)
    if isinstance(value, Mapping):
        return {key: _meta(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_meta, value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(_meta, value))
    return value
