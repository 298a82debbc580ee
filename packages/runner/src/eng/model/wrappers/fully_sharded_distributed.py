"""MMFullyShardedDataParallel: FSDP, by torch's ``fully_shard``, with the steps that a Runner calls."""

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
    """Shards the parameters, gradients and optimizer state of a :class:`eng.model.BaseModel` over the ranks.

    The arguments are those of FSDP 1, torch's class ``FullyShardedDataParallel``, but the model is sharded by FSDP 2,
    torch's function ``fully_shard``. Parameters become DTensors and keep their names, so that optimizers, hooks and
    state dicts use the names of the plain model. Build the optimizer after this wrapper, which replaces the parameters.

    Args:
        module: the model; its parameters are sharded in place.
        process_group: the process group to shard over, or keyword arguments of ``torch.distributed.new_group``; None
            (default) is all ranks.
        sharding_strategy: ``"FULL_SHARD"`` (the default) frees gathered parameters after the forward,
            ``"SHARD_GRAD_OP"`` after the backward. ``"HYBRID_SHARD"`` and ``"_HYBRID_SHARD_ZERO2"`` shard within a
            machine and replicate over machines.
        cpu_offload: whether to keep parameters, gradients and optimizer state in the memory of the CPU.
        auto_wrap_policy: selects the submodules that are gathered separately: a callable ``(module, recurse,
            nonwrapped_numel)``, its name in the registry FUNCTIONS or in ``torch.distributed.fsdp.wrap``, or a config
            with ``type`` and further arguments. None (default) gathers all parameters of the model at once.
        backward_prefetch: ``"BACKWARD_PRE"`` or None; ``fully_shard`` always gathers the next submodule in advance.
        mixed_precision: a dict with ``param_dtype``, ``reduce_dtype`` (dtypes or their names) and
            ``cast_forward_inputs``, or torch's ``MixedPrecision``.
        param_init_fn: initialises modules that were on the meta device: a callable, or its name in FUNCTIONS, that is
            called with the module.
        use_orig_params: must be True, since parameters keep their names and shapes.
        **kwargs: ``ignored_modules``, ``device_id``, ``device_mesh`` and ``sync_module_states`` work as in FSDP 1;
            ``forward_prefetch`` and ``limit_all_gathers`` are always on.

    Raises:
        WrapperOptionError: ``fully_shard`` does not support an option (a ValueError).
        TypeError: an option has the wrong type.
        RuntimeError: no process group is initialised.

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
        """Calls the model's forward; ``fully_shard`` gathers the parameters of each submodule before its forward."""
        return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        """Runs a training step; see :meth:`eng.model.BaseModel.train_step`."""
        return train_wrapped(self, data, optim_wrapper)

    def val_step(self, data: Any) -> Any:
        """Returns the predictions for a validation batch; see :meth:`eng.model.BaseModel.val_step`."""
        with watched("the validation step"):
            return self._and_reshard(self.module.val_step(data))

    def test_step(self, data: Any) -> Any:
        """Returns the predictions for a test batch; see :meth:`eng.model.BaseModel.test_step`."""
        with watched("the test step"):
            return self._and_reshard(self.module.test_step(data))

    def _and_reshard(self, outputs: Any) -> Any:
        free_gathered(self.module)
        return outputs

    _run_forward = run_forward

    @contextmanager
    def no_sync(self) -> Any:
        """Returns a context in which a backward does not average the gradients over the ranks.

        The context serves gradient accumulation: full gradients, which take as much memory as the unsharded parameters,
        are accumulated until the next backward outside of the ``with`` block averages and shards them. If the attribute
        ``defers_reduction`` is False, the context has no effect: each backward averages the gradients and accumulates
        the shards, which takes less memory.
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
        """Returns this rank's shards of the parameters, as DTensors under the parameter names of the plain model."""
        return self.module.state_dict(*args, **kwargs)

    def full_state_dict(self, rank0_only: bool = False) -> dict[str, Any]:
        """Returns the complete, unsharded state of the model in CPU memory; all ranks must call this method.

        Args:
            rank0_only: whether only rank 0 gets the state. All other ranks get an empty dictionary, which saves memory.
        """
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        if rank0_only:
            options = StateDictOptions(full_state_dict=True, cpu_offload=True)
            return get_model_state_dict(self.module, options=options)
        return {name: _gather(value) for name, value in self.module.state_dict().items()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Loads a state dict of this rank's shards, as :meth:`state_dict` returns it, or of complete tensors.

        With complete tensors, every rank must pass the same state dict.

        Args:
            state_dict: the shards or tensors, under the names of the plain model.
            strict: whether missing and unexpected names are an error.
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
        """Sets the training or evaluation mode of the wrapper and of the model."""
        self.training = mode
        self.module.train(mode)
        return self


def _outermost_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments with which ``fully_shard`` is called for the outermost module, the model itself.

    ``reshard_after_forward=True`` is left out, because the backward of the model begins right after its forward:
    freeing the gathered parameters in between would only cost a second gathering. Without this argument torch keeps
    the outermost module's parameters gathered.
    """
    return {key: value for key, value in options.items() if (key, value) != ("reshard_after_forward", True)}


def _gather(value: Any) -> Any:
    value = full_tensor(value)
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    return value
