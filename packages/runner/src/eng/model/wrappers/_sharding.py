"""Translate the settings of torch's first FSDP to those of its second, ``fully_shard``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.distributed as torch_dist
from torch import nn

from eng.device import current_device, get_device
from eng.logging.near_names import suggest
from eng.model.errors import WrapperOptionError
from eng.registry import FUNCTIONS

logger = logging.getLogger(__name__)

_STRATEGIES = ("FULL_SHARD", "SHARD_GRAD_OP", "HYBRID_SHARD", "_HYBRID_SHARD_ZERO2", "NO_SHARD")
_ALWAYS_ON = ("forward_prefetch", "limit_all_gathers")
_KNOWN = ("ignored_modules", "device_id", "device_mesh", "sync_module_states", *_ALWAYS_ON)


@dataclass
class Settings:
    """The keyword arguments for ``fully_shard``, and the settings that prepare a model before it is sharded.

    Attributes:
        options: keyword arguments for ``fully_shard``.
        device: device on which this rank computes.
        ignored_modules: modules that are not sharded.
        sync_module_states: whether the first rank broadcasts its weights to all ranks.
        group: process group that the model is sharded over; None is all ranks.
        offload: whether parameters are kept in the memory of the CPU and copied to the device for computation.
    """

    options: dict[str, Any]
    device: torch.device
    ignored_modules: list[nn.Module] = field(default_factory=list)
    sync_module_states: bool = False
    group: Any = None
    offload: bool = False

    @classmethod
    def of(
        cls,
        *,
        process_group: Any,
        sharding_strategy: Any,
        cpu_offload: Any,
        backward_prefetch: Any,
        mixed_precision: Any,
        use_orig_params: bool,
        **kwargs: Any,
    ) -> Settings:
        """Translates the arguments of :class:`MMFullyShardedDataParallel` to the settings of ``fully_shard``."""
        if not torch_dist.is_initialized():
            raise RuntimeError("MMFullyShardedDataParallel needs a process group: start with torchrun or --launcher")
        _check_known(kwargs)
        if not use_orig_params:
            raise WrapperOptionError("use_orig_params", "False is not possible with fully_shard; leave it at True")
        _check_prefetch(backward_prefetch)
        group = process_group
        if isinstance(process_group, Mapping):
            group = torch_dist.new_group(**process_group)
        strategy = _strategy(sharding_strategy)
        device = _device(kwargs.get("device_id"))
        offload = _offload(cpu_offload)
        options: dict[str, Any] = {
            "mesh": kwargs.get("device_mesh") or _mesh(device.type, group, strategy),
            "reshard_after_forward": strategy in ("FULL_SHARD", "HYBRID_SHARD"),
            "mp_policy": _precision(mixed_precision),
        }
        if offload:
            from torch.distributed.fsdp import CPUOffloadPolicy

            options["offload_policy"] = CPUOffloadPolicy(pin_memory=device.type != "cpu")
        ignored = list(kwargs.get("ignored_modules") or [])
        if ignored:
            options["ignored_params"] = {parameter for module in ignored for parameter in module.parameters()}
        return cls(options, device, ignored, bool(kwargs.get("sync_module_states")), group, offload)

    def prepare(self, module: nn.Module, param_init_fn: Any) -> None:
        """Prepares the model before it is sharded.

        Modules on the meta device get memory and are initialised by ``param_init_fn`` (None: by their method
        ``reset_parameters``); the model is moved to the device that computes; with ``sync_module_states`` the first
        rank broadcasts its weights.
        """
        init: Callable[..., Any] = _reset
        if param_init_fn is not None:
            init = _function(param_init_fn, "param_init_fn")
        for part in module.modules():
            tensors = [*part.parameters(recurse=False), *part.buffers(recurse=False)]
            if any(tensor.is_meta for tensor in tensors):
                part.to_empty(device=self.device, recurse=False)
                init(part)
        module.to(self.device)
        if self.sync_module_states:
            for tensor in module.state_dict().values():
                torch_dist.broadcast(tensor.detach(), src=_first_rank(self.group), group=self.group)

    def follow_device(self, module: nn.Module) -> None:
        """Makes the model's data preprocessor move batches to the device that computes.

        With CPU offload the parameters are on the CPU, so the device of the parameters is not that of the batches.
        """
        preprocessor = getattr(module, "data_preprocessor", None)
        if preprocessor is not None:
            preprocessor.to(self.device)


def modules_to_shard(module: nn.Module, policy: Any, ignored: Iterable[nn.Module]) -> list[nn.Module]:
    """Returns the submodules for which ``fully_shard`` is called separately, inner submodules before outer ones.

    The model itself is not in the list.

    Args:
        module: the model.
        policy: the function, its name or its config that selects submodules; see ``auto_wrap_policy`` of
            :class:`MMFullyShardedDataParallel`. None selects no submodule.
        ignored: modules that are never sharded; their submodules are not sharded either.
    """
    if policy is None:
        return []
    wants = _function(policy, "auto_wrap_policy")
    ignored_ids = {id(part) for item in ignored for part in item.modules()}
    chosen: list[nn.Module] = []

    def visit(part: nn.Module) -> int:
        """Asks the policy for the submodules of ``part``, then for ``part``; appends the selected ones to ``chosen``.

        Returns the number of parameter elements in ``part`` that belong to selected modules.
        """
        numel = sum(parameter.numel() for parameter in part.parameters())
        wrapped = 0
        if wants(module=part, recurse=True, nonwrapped_numel=numel):
            wrapped = sum(visit(child) for child in part.children() if id(child) not in ignored_ids)
        if part is module or not wants(module=part, recurse=False, nonwrapped_numel=numel - wrapped):
            return wrapped
        chosen.append(part)
        return numel

    visit(module)
    return chosen


def _check_known(kwargs: Mapping[str, Any]) -> None:
    for name in kwargs:
        if name not in _KNOWN:
            raise TypeError(f"MMFullyShardedDataParallel takes no argument {name!r}{suggest(name, _KNOWN)}")
        if name in _ALWAYS_ON and not kwargs[name]:
            logger.warning("%s=%r: fully_shard always does it", name, kwargs[name])


def _check_prefetch(backward_prefetch: Any) -> None:
    name = getattr(backward_prefetch, "name", backward_prefetch)
    if name not in (None, "BACKWARD_PRE", "BACKWARD_POST"):
        raise WrapperOptionError("backward_prefetch", f"expected 'BACKWARD_PRE' or None, got {backward_prefetch!r}")
    if name == "BACKWARD_POST":
        logger.warning("backward_prefetch='BACKWARD_POST': fully_shard gathers ahead, as with 'BACKWARD_PRE'")


def _strategy(sharding_strategy: Any) -> str:
    """Returns the name of a sharding strategy, from a name or torch's enum; None stands for ``FULL_SHARD``."""
    name = str(getattr(sharding_strategy, "name", sharding_strategy or "FULL_SHARD"))
    if name not in _STRATEGIES:
        raise WrapperOptionError("sharding_strategy", f"expected one of {', '.join(_STRATEGIES)}, got {name!r}")
    if name == "NO_SHARD":
        raise WrapperOptionError(
            "sharding_strategy", "NO_SHARD is plain data parallelism: use MMDistributedDataParallel"
        )
    return name


def _device(device_id: Any) -> torch.device:
    if isinstance(device_id, int):
        return torch.device(get_device(), device_id)
    if device_id is not None:
        return torch.device(device_id)
    return current_device()


def _offload(cpu_offload: Any) -> bool:
    """Returns whether parameters are kept on the CPU, from a bool, None or the ``CPUOffload`` of torch's FSDP 1."""
    if cpu_offload is None or isinstance(cpu_offload, bool):
        return bool(cpu_offload)
    if hasattr(cpu_offload, "offload_params"):
        return bool(cpu_offload.offload_params)
    raise TypeError(
        f"cpu_offload takes True, False, None or a CPUOffload, got {type(cpu_offload).__name__}: {cpu_offload!r}"
    )


def _mesh(device_type: str, group: Any, strategy: str) -> Any:
    """Returns the device mesh that ``fully_shard`` shards over.

    The mesh has one dimension, the ranks. For a hybrid strategy the mesh has two dimensions: the model is replicated
    over the machines (first dimension) and sharded over the ranks of a machine (second dimension).
    """
    from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

    if "HYBRID" not in strategy:
        if group is not None:
            return DeviceMesh.from_group(group, device_type)
        return init_device_mesh(device_type, (torch_dist.get_world_size(),))
    if group is not None:
        raise WrapperOptionError("process_group", "not with a hybrid strategy, which forms its own from the machines")
    world, local = torch_dist.get_world_size(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if world % local:
        raise WrapperOptionError("sharding_strategy", f"{world} ranks are not spread evenly over machines of {local}")
    return init_device_mesh(device_type, (world // local, local), mesh_dim_names=("replicate", "shard"))


def _precision(mixed_precision: Any) -> Any:
    """Converts the setting ``mixed_precision`` to the ``MixedPrecisionPolicy`` that ``fully_shard`` takes.

    The setting is None, a dict such as ``dict(param_dtype="bfloat16")``, or the ``MixedPrecision`` of torch's FSDP 1.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy

    if mixed_precision is None:
        return MixedPrecisionPolicy()
    if isinstance(mixed_precision, Mapping):
        options = dict(mixed_precision)
    elif hasattr(mixed_precision, "param_dtype"):
        options = {name: getattr(mixed_precision, name) for name in ("param_dtype", "reduce_dtype", "buffer_dtype")}
    else:
        raise TypeError(
            f"mixed_precision takes None, a dict such as dict(param_dtype='bfloat16') or a MixedPrecision, got "
            f"{type(mixed_precision).__name__}: {mixed_precision!r}"
        )
    if options.pop("buffer_dtype", None) is not None:
        logger.warning("mixed_precision: fully_shard leaves buffers as they are; buffer_dtype has no effect")
    names = ("param_dtype", "reduce_dtype", "output_dtype", "cast_forward_inputs")
    unknown = [name for name in options if name not in names]
    if unknown:
        raise WrapperOptionError("mixed_precision", f"knows {', '.join(names)}, got {unknown}")
    return MixedPrecisionPolicy(**{name: _dtype(value) for name, value in options.items()})


def _dtype(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    dtype = getattr(torch, value.removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype):
        raise WrapperOptionError("mixed_precision", f"{value!r} is no type of torch, such as 'bfloat16'")
    return dtype


def _function(spec: Any, option: str) -> Callable[..., Any]:
    """Returns the function that a setting of FSDP describes; ``option`` is the setting's name in error messages.

    ``spec`` is a callable, a name in the registry FUNCTIONS or in ``torch.distributed.fsdp.wrap``, or a config with the
    callable or name under ``type`` and further keyword arguments of the function.
    """
    if isinstance(spec, Mapping):
        arguments = dict(spec)
        return partial(_function(arguments.pop("type"), option), **arguments)
    if callable(spec):
        return spec  # type: ignore[no-any-return]  # what is callable has no known type
    if not isinstance(spec, str):
        raise TypeError(f"`{option}` should be `None`, `str`, a dict or callable, but has type {type(spec).__name__}")
    from torch.distributed.fsdp import wrap

    function: Any = FUNCTIONS.get(spec) or getattr(wrap, spec, None)
    if not callable(function):
        raise WrapperOptionError(option, f"{spec!r} names no function in FUNCTIONS or torch.distributed.fsdp.wrap")
    return function  # type: ignore[no-any-return]  # what is registered there is a function


def _reset(module: nn.Module) -> None:
    if not hasattr(module, "reset_parameters"):
        raise WrapperOptionError(
            "param_init_fn", f"{type(module).__name__} is on the meta device and has no reset_parameters(); give one"
        )
    module.reset_parameters()  # type: ignore[operator]  # checked above


def _first_rank(group: Any) -> int:
    if group is None:
        return 0
    return int(torch_dist.get_global_rank(group, 0))
