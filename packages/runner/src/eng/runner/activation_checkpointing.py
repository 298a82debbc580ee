"""Activation checkpointing and offload by patterns of module names: less memory for more computing or copying."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from functools import partial
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from eng.checkpoint.dtensor import is_dtensor
from eng.device import pins_memory
from eng.logging.near_names import suggest

from .errors import SettingsError
from .module_patterns import modules_by_pattern

# What is costly to compute again, by names that `keep` takes.
_FAMILIES = {
    "matmul": ("mm", "addmm", "bmm", "baddbmm", "matmul", "linear", "_scaled_mm", "_grouped_mm"),
    "attention": (
        "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_flash_attention_for_cpu",
    ),
    "convolution": ("convolution", "convolution_overrideable"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ActivationSettings:
    """What happens to the activations of some modules between the forward and the backward pass."""

    modules: list[str] | str
    """Dotted names of modules, with wildcards, such as ``"layers.*"``."""
    recompute: bool = True
    """Whether activations are computed again in the backward pass."""
    keep: list[str] | str | None = None
    """Operators whose results are kept where the rest is computed again: ``"matmul"``, ``"attention"``, ``"convolution"``, or names
    of torch's operators such as ``"aten.mm"``."""
    offload: bool = False
    """Whether what is kept, but for weights and distributed tensors, waits in the memory of the host; on a CPU nothing moves. Results
    that ``keep`` keeps stay on the device."""

    @classmethod
    def of(cls, setting: object) -> ActivationSettings | None:
        """The settings in names of modules or in a mapping; None where nothing is asked for.

        Raises:
            SettingsError: a key is unknown or missing, the keys contradict each other, or ``modules`` is no list of names.
        """
        if not setting:
            return None
        if not isinstance(setting, Mapping):
            return cls(modules=_names(setting))
        known = [field.name for field in fields(cls)]
        for key in setting:
            if key not in known:
                raise SettingsError(f"activation_checkpointing takes no {key!r}{suggest(key, known)}")
        if "modules" not in setting:
            raise SettingsError(
                f"activation_checkpointing needs modules, such as ['layers.*']; it has {sorted(setting)}"
            )
        settings = cls(**{**setting, "modules": _names(setting["modules"])})
        if not settings.recompute and (settings.keep or not settings.offload):
            raise SettingsError(
                "activation_checkpointing with recompute=False keeps everything: it goes with offload=True, and without keep"
            )
        return settings


def _names(modules: object) -> list[str] | str:
    if isinstance(modules, str):
        return modules
    if not isinstance(modules, (Sequence, Set)) or not all(isinstance(name, str) for name in modules):
        raise SettingsError(f"activation_checkpointing takes names of modules, such as ['layers.*'], got {modules!r}")
    return list(modules)


def turn_on_activation_checkpointing(model: nn.Module, modules: Mapping[str, Any] | list[str] | str) -> None:
    """Makes some modules recompute their activations in the backward pass, or move them to the host, instead of keeping them.

    The names of parameters and the results stay the same.

    Args:
        model: the model.
        modules: dotted names of its modules, with wildcards, such as ``"backbone.layer*"``, or :class:`ActivationSettings` as a
            mapping.

    Raises:
        ValueError: the model has no such module; near names are given.
        SettingsError: a setting or an operator is unknown.

    Source: Chen et al. 2016, arXiv:1604.06174.
    """
    settings = ActivationSettings.of(modules)
    if settings is None:
        return
    operators = ()
    if settings.keep:
        operators = tuple(_operators(settings.keep))
    for module in modules_by_pattern(model, settings.modules, "activation_checkpointing").values():
        if not isinstance(vars(module).get("forward"), _Checkpointed):
            # A wrapper module would rename the parameters.
            module.forward = _Checkpointed(module, vars(module).get("forward"), settings, operators)


def _operators(names: list[str] | str) -> list[Any]:
    """The overloads of torch's operators that are named."""
    if isinstance(names, str):
        names = [names]
    chosen: list[Any] = []
    for name in names:
        members = [f"aten.{member}" for member in _FAMILIES.get(name, ())]
        overloads = [overload for member in members or [name] for overload in _overloads(member)]
        if not overloads:
            known = [*_FAMILIES, *(f"aten.{operator}" for operator in dir(torch.ops.aten))]
            hint = suggest(name, known, otherwise="; names are such as 'aten.mm' or 'mylib.op'")
            raise SettingsError(f"activation_checkpointing keep={name!r} is no operator of torch{hint}")
        chosen += overloads
    return chosen


def _overloads(name: str) -> list[Any]:
    """Overloads of ``namespace.operator`` or the one of ``namespace.operator.overload``; none where torch has no such operator."""
    namespace, _, operator_and_overload = name.partition(".")
    operator, _, overload = operator_and_overload.partition(".")
    packet = None
    if operator:
        packet = getattr(getattr(torch.ops, namespace), operator, None)
    if packet is None:
        return []
    return [getattr(packet, variant) for variant in packet.overloads() if overload in ("", variant)]


class _Checkpointed:
    """The forward of a module, whose activations are computed again in the backward pass or wait on the host.

    It holds the module and not its bound method, so that a deep copy or a pickle of the module calls the copy's own.

    Args:
        module: the module.
        forward: a forward that was set on this one module; None takes that of its class.
        settings: what happens to the activations.
        operators: overloads whose results are kept.
    """

    def __init__(
        self,
        module: nn.Module,
        forward: Callable[..., Any] | None,
        settings: ActivationSettings,
        operators: tuple[Any, ...],
    ) -> None:
        self.module, self.forward = module, forward
        self._settings = settings
        # Operators have no pickle of their own, and a pickled model finds them by name.
        self._operators = operators

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_operators"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._settings.keep:
            self._operators = tuple(_operators(self._settings.keep))
        else:
            self._operators = ()

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._function())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self._offload():
            if not self._settings.recompute:
                return self._function()(*args, **kwargs)
            if not self._operators:
                return checkpoint(self._function(), *args, use_reentrant=False, **kwargs)
            contexts = partial(create_selective_checkpoint_contexts, list(self._operators))
            return checkpoint(self._function(), *args, use_reentrant=False, context_fn=contexts, **kwargs)

    def _function(self) -> Callable[..., Any]:
        if self.forward is not None:
            return self.forward
        return MethodType(type(self.module).forward, self.module)

    def _offload(self) -> AbstractContextManager[Any]:
        if not self._settings.offload:
            return nullcontext()
        parameters = (_local(parameter) for parameter in self.module.parameters())
        weights = {parameter.untyped_storage().data_ptr() for parameter in parameters}
        return torch.autograd.graph.saved_tensors_hooks(partial(_to_host, weights=weights), _from_host)


def _local(parameter: nn.Parameter) -> torch.Tensor:
    """The part of a parameter that lies on this rank."""
    if is_dtensor(parameter):
        return parameter.to_local().detach()
    return parameter


def _to_host(tensor: torch.Tensor, *, weights: set[int]) -> Any:
    """A tensor that the backward pass needs, with its device, on the host; weights, DTensors and what lies there stay as they are."""
    if _is_on_host(tensor) or is_dtensor(tensor) or tensor.untyped_storage().data_ptr() in weights:
        return tensor
    copy = torch.empty(tensor.size(), dtype=tensor.dtype, layout=tensor.layout, pin_memory=pins_memory(tensor.device))
    copy.copy_(tensor, non_blocking=True)
    return tensor.device, copy


def _from_host(packed: Any) -> torch.Tensor:
    if isinstance(packed, torch.Tensor):
        return packed
    device, copy = packed
    tensor: torch.Tensor = copy.to(device, non_blocking=True)
    return tensor


def _is_on_host(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu"
