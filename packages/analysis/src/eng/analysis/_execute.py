"""Runs a model once to observe its operators: on meta tensors if possible, otherwise on real tensors."""

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
    """Runs a model once inside a context manager that observes the run; returns what the context manager yields.

    Parameters, buffers and inputs are replaced by meta tensors, which have shapes but no memory. If the forward needs
    values (``if x.sum() > 0``), it fails and runs again on the real tensors, with a warning. Models and inputs with
    sparse tensors always run on real tensors. The parameters and buffers of the model are not changed.

    Args:
        model: any module.
        args: positional arguments of its forward.
        kwargs: keyword arguments of its forward.
        observation: creates the context manager for the model; called again if the model runs a second time.
        backward: whether to run backward as well, from the sum of all outputs.

    Raises:
        Exception: the exception of the forward on real tensors, with a note that names the module.
    """
    model = initialize_lazy_parameters(unwrap(model), args, kwargs)
    if any(is_sparse(tensor) for tensor in (*model.parameters(), *model.buffers(), *tensors_in((args, kwargs)))):
        # The cost of a sparse operator depends on the number of stored elements. A meta tensor has no such number, so
        # the model runs on the real tensors.
        return _observe_once(model, args, kwargs, observation, backward, device=None)
    try:
        return _observe_once(model, _meta(args), _meta(kwargs), observation, backward, device="meta")
    except Exception as error:  # An error that has nothing to do with meta tensors is raised again by the run below.
        if _lives_on_meta(model):
            raise
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    result = _observe_once(model, args, kwargs, observation, backward, device=None)
    logger.warning("The forward needs real values (on meta tensors: %s); it was counted on real tensors.", reason)
    return result


def _observe_once(
    model: nn.Module,
    args: Any,
    kwargs: Any,
    observation: Callable[[nn.Module], AbstractContextManager[Observer]],
    backward: bool,
    device: str | None,
) -> Observer:
    """Runs the model once inside the context manager that `observation` returns, and returns the observer of the run.

    The parameters and buffers of the model are replaced during the run, so that the model itself is not changed.

    Args:
        model: the module.
        args: positional arguments of its forward.
        kwargs: keyword arguments of its forward.
        observation: creates the context manager that observes the run.
        backward: whether to run backward as well, from the sum of all outputs.
        device: ``"meta"`` replaces parameters and buffers by meta tensors, which have a shape but no values, so that a
            forward that reads values fails; None runs on the real values.
    """
    factory = torch.device(device) if device else _nothing()
    # The tensors for the run are created before the observation starts, so that the operators that create them are not
    # counted.
    state = _state_for_run(model, device)
    with torch.random.fork_rng(), torch.set_grad_enabled(backward), _eager(), observation(model) as observer:
        with factory, naming_the_module(model):
            outputs = _call(model, state, args, kwargs)
        if backward:
            _backward(outputs)
    return observer


def _state_for_run(model: nn.Module, device: str | None) -> dict[str, torch.Tensor]:
    """Returns the tensors that replace the model's parameters and buffers during the observed run, by name."""
    state = {name: _replacement(tensor, device) for name, tensor in model.named_parameters()}
    # Buffers are copied even for a run on real tensors: in training mode the forward changes running statistics, and
    # the buffers of the user's model must stay as they are.
    return state | {name: _replacement(tensor, device, copied=True) for name, tensor in model.named_buffers()}


def _call(model: nn.Module, state: dict[str, torch.Tensor], args: Any, kwargs: Any) -> Any:
    if isinstance(model, torch.jit.ScriptModule):
        return model(*args, **kwargs)
    return torch.func.functional_call(model, state, tuple(args), dict(kwargs))


def _replacement(tensor: torch.Tensor, device: str | None, *, copied: bool = False) -> torch.Tensor:
    """Returns a tensor like `tensor` on `device`; without a device, a tensor with the same memory, or a copy."""
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
    """If the forward raises an exception inside the ``with`` block, adds a note to it with the name of the module.

    The name is that of the innermost module that was running.
    """
    names = {module: name for name, module in model.named_modules()}
    running: list[nn.Module] = []
    handles = []
    for module in names:
        if not isinstance(module, torch.jit.ScriptModule):
            handles.append(module.register_forward_pre_hook(lambda module, _: running.append(module)))
            handles.append(module.register_forward_hook(lambda module, *_: _remove_finished(running, module)))
    try:
        yield
    except Exception as error:
        if running:
            where = names[running[-1]] or "the model itself"
            note = f"while analysing: the forward of {where} ({type(running[-1]).__name__}) failed"
            if hasattr(error, "add_note"):  # Notes exist from Python 3.11 on.
                error.add_note(note)
            logger.debug(note)
        raise
    finally:
        for handle in handles:
            handle.remove()


def _remove_finished(running: list[nn.Module], module: nn.Module) -> None:
    """Removes a module whose forward has finished from the end of the list `running`.

    Submodules behind the module in the list raised an exception that the module has caught; they are removed too. The
    function is used as a forward hook and must return None, because torch would replace the output by another result.
    """
    while running.pop() is not module:
        pass


@contextmanager
def _nothing() -> Iterator[None]:
    """Context manager that does nothing."""
    yield


@contextmanager
def _eager() -> Iterator[None]:
    """Disables torch.compile inside the ``with`` block, so that the operators of compiled modules can be observed."""
    with torch.compiler.set_stance("force_eager"):
        yield


def unwrap(model: nn.Module) -> nn.Module:
    """Returns the user's module inside wrappers of `DataParallel`, `DistributedDataParallel` and `torch.compile`.

    A model without such a wrapper is returned unchanged.
    """
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = cast(nn.Module, model.module)
            continue
        # torch.compile returns a module with one submodule, the user's model. torch documents the name `_orig_mod` for
        # state dicts, whose keys begin with the name.
        compiled = dict(model.named_children()).get("_orig_mod")
        if compiled is None:
            return model
        model = compiled


def initialize_lazy_parameters(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> nn.Module:
    """Returns a copy of a model with lazy parameters (`nn.LazyLinear`), after one forward has created its parameters.

    A model without lazy parameters is returned itself.
    """
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
    """Replaces all tensors in nested mappings, lists and tuples by meta tensors, which have a shape but no memory."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("meta").requires_grad_(value.requires_grad)
    if isinstance(value, Mapping):
        return {key: _meta(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_meta, value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(_meta, value))
    return value
