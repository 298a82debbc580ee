"""Activation checkpointing and CPU offload of activations, for modules chosen by patterns of their names."""

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

# Operators that are expensive to recompute, by the names that the setting `keep` takes.
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
    """The setting ``activation_checkpointing``: which modules recompute or offload their activations."""

    modules: list[str] | str
    """Dotted names of modules, with wildcards, such as ``"layers.*"``."""
    recompute: bool = True
    """Whether activations are recomputed in the backward pass."""
    keep: list[str] | str | None = None
    """Operators whose results are saved instead of recomputed: ``"matmul"``, ``"attention"``, ``"convolution"``, or
    names of torch's operators such as ``"aten.mm"``."""
    offload: bool = False
    """Whether saved activations move to CPU memory until the backward pass. Weights, distributed tensors and the
    results of the operators in ``keep`` stay on the device. Without an accelerator nothing moves."""

    @classmethod
    def of(cls, setting: object) -> ActivationSettings | None:
        """Reads the settings from names of modules or from a mapping; returns None for an empty value.

        Raises:
            SettingsError: a key is unknown or missing, keys contradict each other, or ``modules`` is no list of names.
        """
        if not setting:
            return None
        if not isinstance(setting, Mapping):
            return cls(modules=_module_names(setting))
        known = [field.name for field in fields(cls)]
        for key in setting:
            if key not in known:
                raise SettingsError(f"activation_checkpointing takes no {key!r}{suggest(key, known)}")
        if "modules" not in setting:
            raise SettingsError(
                f"activation_checkpointing needs modules, such as ['layers.*']; it has {sorted(setting)}"
            )
        settings = cls(**{**setting, "modules": _module_names(setting["modules"])})
        if not settings.recompute and (settings.keep or not settings.offload):
            raise SettingsError(
                "activation_checkpointing with recompute=False keeps everything: it goes with offload=True, and without keep"
            )
        return settings


def _module_names(modules: object) -> list[str] | str:
    """Returns a name, or several names as a list; raises a SettingsError for every other value."""
    if isinstance(modules, str):
        return modules
    if not isinstance(modules, (Sequence, Set)) or not all(isinstance(name, str) for name in modules):
        raise SettingsError(f"activation_checkpointing takes names of modules, such as ['layers.*'], got {modules!r}")
    return list(modules)


def turn_on_activation_checkpointing(model: nn.Module, modules: Mapping[str, Any] | list[str] | str) -> None:
    """Saves device memory: makes modules recompute their activations in the backward pass, or move them to CPU memory.

    Names of parameters and results stay the same.

    Args:
        model: the model.
        modules: dotted names of modules, with wildcards, such as ``"backbone.layer*"``, or :class:`ActivationSettings`
            as a mapping.

    Raises:
        ValueError: a name matches no module; the message names similar modules.
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
            # The forward is replaced, because a wrapper module would rename the parameters.
            module.forward = _Checkpointed(module, vars(module).get("forward"), settings, operators)


def _operators(names: list[str] | str) -> list[Any]:
    """Returns the overloads of torch's operators for the names in ``keep``."""
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
    """Returns the overloads of an operator of torch.

    The name ``aten.mm`` gives all overloads of the operator, ``aten.mm.default`` only this one; for an unknown name the
    list is empty.
    """
    namespace, _, operator_and_overload = name.partition(".")
    operator, _, overload = operator_and_overload.partition(".")
    packet = None
    if operator:
        packet = getattr(getattr(torch.ops, namespace), operator, None)
    if packet is None:
        return []
    return [getattr(packet, variant) for variant in packet.overloads() if overload in ("", variant)]


class _Checkpointed:
    """Replaces the ``forward`` of a module, to recompute or offload its activations.

    The object stores the module and not its bound method ``forward``, so that a deep copy calls the ``forward`` of the
    copied module.

    Args:
        module: the module.
        forward: the ``forward`` that was assigned to this module as an attribute; None uses the method of its class.
        settings: the setting ``activation_checkpointing``.
        operators: operator overloads whose results are saved.
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
        # Operators cannot be pickled, so __setstate__ finds them again by name.
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
        """Runs the module's forward with the activation checkpointing and the CPU offload that the settings ask for."""
        with self._offload():
            if not self._settings.recompute:
                return self._function()(*args, **kwargs)
            if not self._operators:
                return checkpoint(self._function(), *args, use_reentrant=False, **kwargs)
            contexts = partial(create_selective_checkpoint_contexts, list(self._operators))
            return checkpoint(self._function(), *args, use_reentrant=False, context_fn=contexts, **kwargs)

    def _function(self) -> Callable[..., Any]:
        """Returns the replaced ``forward``: the function that was assigned to the module, or its class's method."""
        if self.forward is not None:
            return self.forward
        return MethodType(type(self.module).forward, self.module)

    def _offload(self) -> AbstractContextManager[Any]:
        """Returns a context in which tensors saved for the backward pass move to CPU memory, if ``offload`` is set."""
        if not self._settings.offload:
            return nullcontext()
        parameters = (_local(parameter) for parameter in self.module.parameters())
        weights = {parameter.untyped_storage().data_ptr() for parameter in parameters}
        return torch.autograd.graph.saved_tensors_hooks(partial(_to_host, weights=weights), _from_host)


def _local(parameter: nn.Parameter) -> torch.Tensor:
    """Returns this rank's shard of a parameter, or the parameter itself."""
    if is_dtensor(parameter):
        return parameter.to_local().detach()
    return parameter


def _to_host(tensor: torch.Tensor, *, weights: set[int]) -> Any:
    """Copies a tensor that autograd saves for the backward pass to CPU memory; returns device and copy.

    Weights, DTensors and tensors in CPU memory are returned as they are.

    Args:
        tensor: the saved tensor.
        weights: addresses of the storages of the module's weights.
    """
    if _is_on_host(tensor) or is_dtensor(tensor) or tensor.untyped_storage().data_ptr() in weights:
        return tensor
    copy = torch.empty(tensor.size(), dtype=tensor.dtype, layout=tensor.layout, pin_memory=pins_memory(tensor.device))
    copy.copy_(tensor, non_blocking=True)
    return tensor.device, copy


def _from_host(packed: Any) -> torch.Tensor:
    """Returns, in the backward pass, the tensor from which :func:`_to_host` made ``packed``, on its former device."""
    if isinstance(packed, torch.Tensor):
        return packed
    device, copy = packed
    tensor: torch.Tensor = copy.to(device, non_blocking=True)
    return tensor


def _is_on_host(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "cpu"
