"""Sharded data parallelism (FSDP) with the steps that a loop calls, on torch's ``fully_shard``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

from eng.checkpoint.dtensor import full_tensor, is_dtensor
from eng.dist import watched
from eng.model._steps import free_gathered, run_forward, train_wrapped
from eng.registry import MODEL_WRAPPERS

from ._copying import shard_of
from ._sharding import Settings, modules_to_shard

Self = TypeVar("Self", bound="MMFullyShardedDataParallel")


@MODEL_WRAPPERS.register_module()
class MMFullyShardedDataParallel(nn.Module):
    """A :class:`eng.model.BaseModel` whose parameters, gradients and optimizer state are spread over the ranks.

    The settings are those of torch's first FSDP; the work is done by its second, ``fully_shard``: parameters become
    DTensors under their own names, so that optimizers, hooks and state dicts see the names of the plain model. Build
    the optimizer after the wrapper.

    Args:
        module: the model; its parameters are sharded in place.
        process_group: the ranks to share among, or keywords of ``torch.distributed.new_group``; None is all ranks.
        sharding_strategy: ``"FULL_SHARD"`` (the default) frees parameters after the forward, ``"SHARD_GRAD_OP"`` keeps
            them until the backward is over; ``"HYBRID_SHARD"`` and ``"_HYBRID_SHARD_ZERO2"`` shard inside a machine
            and replicate over machines.
        cpu_offload: keep parameters, gradients and optimizer state in the memory of the CPU.
        auto_wrap_policy: which children are gathered on their own: a callable ``(module, recurse, nonwrapped_numel)``,
            the name of one in the registry FUNCTIONS or in ``torch.distributed.fsdp.wrap``, or a config with ``type``
            and further arguments; None gathers the model as one.
        backward_prefetch: only ``"BACKWARD_PRE"`` and None; the gathering of the next part always runs ahead.
        mixed_precision: dict of ``param_dtype``, ``reduce_dtype``, ``cast_forward_inputs`` (types or their names), or
            torch's ``MixedPrecision``.
        param_init_fn: called with every module on the meta device after it was given memory; a callable or the name of
            one in FUNCTIONS.
        use_orig_params: True; parameters keep their names and shapes.
        **kwargs: ``ignored_modules``, ``device_id``, ``device_mesh`` and ``sync_module_states`` work as in FSDP; ``forward_prefetch`` and
            ``limit_all_gathers`` are always on.

    Raises:
        WrapperOptionError: an option that ``fully_shard`` cannot serve (a ValueError).
        TypeError: an option of the wrong type.
        RuntimeError: there is no process group.

    Source: Zhao et al. 2023, arXiv:2304.11277.
    """

    defers_reduction = True

    def __init__(
        self,
        module: nn.Module,
        process_group: Any = None,
        sharding_strategy: Any = None,
        cpu_offload: Any = None,
        auto_wrap_policy: Any = None,
        backward_prefetch: Any = None,
        mixed_precision: Any = None,
        param_init_fn: Any = None,
        use_orig_params: bool = True,
        **kwargs: Any,
    ) -> None:
        from torch.distributed.fsdp import fully_shard

        super().__init__()
        settings = Settings.of(
            process_group=process_group,
            sharding_strategy=sharding_strategy,
            cpu_offload=cpu_offload,
            backward_prefetch=backward_prefetch,
            mixed_precision=mixed_precision,
            use_orig_params=use_orig_params,
            **kwargs,
        )
        settings.prepare(module, param_init_fn)
        for child in modules_to_shard(module, auto_wrap_policy, settings.ignored_modules):
            fully_shard(child, **settings.options)
        fully_shard(module, **_outermost_options(settings.options))
        settings.follow_device(module)
        self.module: Any = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's forward, its parameters gathered where they are used."""
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        """See :meth:`eng.model.BaseModel.train_step`."""
        return train_wrapped(self, data, optim_wrapper)

    def val_step(self, data: Any) -> Any:
        """See :meth:`eng.model.BaseModel.val_step`."""
        with watched("the validation step"):
            return self._and_reshard(self.module.val_step(data))

    def test_step(self, data: Any) -> Any:
        """See :meth:`eng.model.BaseModel.test_step`."""
        with watched("the test step"):
            return self._and_reshard(self.module.test_step(data))

    def _and_reshard(self, outputs: Any) -> Any:
        free_gathered(self.module)
        return outputs

    _run_forward = run_forward

    @contextmanager
    def no_sync(self) -> Any:
        """No reduction of gradients inside: they add up unsharded until the next backward outside.

        With ``defers_reduction = False`` they are reduced, and add up in shards.
        """
        if not self.defers_reduction:
            yield
            return
        self.module.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self.module.set_requires_gradient_sync(True)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """This rank's shards (DTensors), under the plain model's names."""
        return self.module.state_dict(*args, **kwargs)

    def full_state_dict(self, rank0_only: bool = False) -> dict[str, Any]:
        """The whole model's state on the CPU, as the plain model has it; every rank must call this.

        Args:
            rank0_only: give the other ranks an empty dictionary and spare their memory.
        """
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        if rank0_only:
            options = StateDictOptions(full_state_dict=True, cpu_offload=True)
            return get_model_state_dict(self.module, options=options)
        return {name: _gathered(value) for name, value in self.module.state_dict().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Takes shards (as :meth:`state_dict` gives) or whole tensors, which every rank must hold.

        Args:
            state_dict: the state, under the plain model's names.
            strict: all names must fit.
            assign: see ``torch.nn.Module.load_state_dict``; only for shards.
        """
        model_state = self.module.state_dict()
        placed = {}
        for name, value in state_dict.items():
            target = model_state.get(name)
            if is_dtensor(target) and not is_dtensor(value):
                full = value.to(device=target.device, dtype=target.dtype)
                value = shard_of(full, target)
            placed[name] = value
        return self.module.load_state_dict(placed, strict=strict, assign=assign)

    def train(self: Self, mode: bool = True) -> Self:
        """Training or evaluation mode, for the model too."""
        self.training = mode
        self.module.train(mode)
        return self


def _outermost_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the outermost module, which torch leaves gathered where nobody says otherwise.

    The backward begins with it right after its forward has ended: to free it in between saves nothing.
    """
    return {key: value for key, value in options.items() if (key, value) != ("reshard_after_forward", True)}


def _gathered(value: Any) -> Any:
    value = full_tensor(value)
    return value.detach().cpu() if isinstance(value, torch.Tensor) else value
