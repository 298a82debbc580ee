"""DeepSpeed's ZeRO: shards optimizer state (stage 1), then gradients (stage 2) and parameters (stage 3) over ranks."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eng.checkpoint.unwrap import unwrap
from eng.device import get_device
from eng.dist import get_world_size, is_distributed
from eng.optim import OptimWrapper
from eng.registry import STRATEGIES

from ..errors import SettingsError
from ._deepspeed_names import is_partitioned, refresh_masters
from ._shards import whole_shape
from ._zero_model import EngineModel, cast_inputs
from ._zero_optim import EngineOptimWrapper
from .base import BaseStrategy


@STRATEGIES.register_module()
class DeepSpeedStrategy(BaseStrategy):
    """Trains through DeepSpeed's engine.

    A checkpoint holds complete tensors under the parameter names of the unwrapped model, so that every strategy can
    resume from the checkpoint. Gradient clipping, gradient accumulation and learning rates come from ``optim_wrapper``,
    as for every other strategy.

    Args:
        config: DeepSpeed's config, a dict or the path of a JSON file; the arguments below replace entries of this
            config.
        zero_optimization: DeepSpeed's options of ZeRO, such as ``dict(stage=2)``; stage 1 by default.
        gradient_clipping: largest norm of the gradients; None (default) takes ``optim_wrapper.clip_grad``.
        fp16: DeepSpeed's options of float16 training.
        inputs_to_half: names and positions of the model's inputs whose floating-point tensors half-precision runs cast;
            None (default) casts those of all inputs.
        bf16: DeepSpeed's options of bfloat16 training.
        amp: DeepSpeed's options of mixed precision with NVIDIA Apex.
        activation_checkpointing: DeepSpeed's options of activation checkpointing.
        aio: DeepSpeed's options of asynchronous file access.
        train_micro_batch_size_per_gpu: samples per rank and iteration; 1 by default. Only DeepSpeed's throughput
            reports use this number: the data loader sets the real batch size.
        gradient_accumulation_steps: iterations per update; None (default) takes ``optim_wrapper.accumulative_counts``.
        steps_per_print: iterations between two progress reports of DeepSpeed; by default so many that it prints none.
        exclude_frozen_parameters: whether checkpoints omit frozen parameters. None (default) keeps them.
        **kwargs: arguments of :class:`BaseStrategy`.

    Raises:
        SettingsError: DeepSpeed is not installed, there is no process group, or DeepSpeed does not support an option.

    Source: Rajbhandari et al. 2020, arXiv:1910.02054.
    """

    needs_its_wrapper = True

    def __init__(
        self,
        *,
        config: str | dict[str, Any] | None = None,
        zero_optimization: dict[str, Any] | None = None,
        gradient_clipping: float | None = None,
        fp16: dict[str, Any] | None = None,
        inputs_to_half: list[str | int] | None = None,
        bf16: dict[str, Any] | None = None,
        amp: dict[str, Any] | None = None,
        activation_checkpointing: dict[str, Any] | None = None,
        aio: dict[str, Any] | None = None,
        train_micro_batch_size_per_gpu: int | None = None,
        gradient_accumulation_steps: int | None = None,
        steps_per_print: int = 10000000000000,
        exclude_frozen_parameters: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        import_deepspeed()
        if isinstance(config, str):
            read = json.loads(Path(config).read_text(encoding="utf-8"))
        else:
            read = copy.deepcopy(config or {})
        arguments = {
            "zero_optimization": zero_optimization,
            "gradient_clipping": gradient_clipping,
            "fp16": fp16,
            "bf16": bf16,
            "amp": amp,
            "activation_checkpointing": activation_checkpointing,
            "aio": aio,
            "train_micro_batch_size_per_gpu": train_micro_batch_size_per_gpu,
            "gradient_accumulation_steps": gradient_accumulation_steps,
            "steps_per_print": steps_per_print,
        }
        self.config: dict[str, Any] = {**read, **{key: value for key, value in arguments.items() if value is not None}}
        self.config.setdefault("zero_optimization", {"stage": 1})
        self.config.setdefault("train_micro_batch_size_per_gpu", 1)
        self.config.setdefault("zero_allow_untested_optimizer", True)
        self.config.setdefault("zero_force_ds_cpu_optimizer", False)
        self.inputs_to_half = inputs_to_half
        self.exclude_frozen = bool(exclude_frozen_parameters)

    @property
    def stage(self) -> int:
        """The ZeRO stage, from 0 (nothing is sharded) to 3 (parameters are sharded too)."""
        return int(self.config["zero_optimization"].get("stage", 0))

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Initialises the weights, moves the model to its device and wraps it in an :class:`EngineModel`.

        DeepSpeed's engine is created later, in :meth:`prepare_optim`, because it needs the optimizer.
        """
        if not is_distributed():
            raise SettingsError(
                "the strategy DeepSpeed needs a process group: start with `--nproc N`, torchrun or --launcher slurm|mpi"
            )
        super().init_weights(model)
        for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
            if self.config.get(name, {}).get("enabled"):
                cast_inputs(model, dtype, self.inputs_to_half)
                break
        return EngineModel(model.to(get_device()))

    def init_weights(self, model: nn.Module) -> None:
        """Does nothing, because :meth:`convert_model` has already initialised the weights."""

    def prepare_optim(self, model: nn.Module, optim_wrapper: OptimWrapper) -> OptimWrapper:
        """Creates DeepSpeed's engine, and returns an optimizer wrapper that runs backward and step through it."""
        if isinstance(optim_wrapper, EngineOptimWrapper):
            return optim_wrapper
        if type(optim_wrapper) is not OptimWrapper:
            raise SettingsError(
                f"DeepSpeed trains with one OptimWrapper, got {type(optim_wrapper).__name__}; precision is set by the "
                "strategy: bf16=dict(enabled=True) or fp16=dict(enabled=True)"
            )
        if optim_wrapper.skips_nonfinite:
            raise SettingsError(
                "optim_wrapper.skip_nonfinite does not reach into DeepSpeed's engine: leave it out and set "
                "nan_policy='skip', which does"
            )
        assert isinstance(model, EngineModel)
        config = {**self.config, **_of_wrapper(optim_wrapper, self.config)}
        engine, *_ = import_deepspeed().initialize(
            model=model.module, optimizer=optim_wrapper.optimizer, config=config, dist_init_required=False
        )
        model.engine = engine
        return EngineOptimWrapper(optim_wrapper, engine, config["gradient_accumulation_steps"])

    def model_state(self, model: nn.Module) -> dict[str, Any]:
        """Returns complete, full-precision weights on the CPU, under the names of the unwrapped model.

        Buffers are included; frozen parameters are left out if ``exclude_frozen_parameters`` is set. All ranks must
        call this method.
        """
        bare = unwrap(model)
        state = {}
        if self.stage < 3:
            state = super().model_state(model)
        frozen = {name for name, p in bare.named_parameters() if not p.requires_grad}
        for name, parameter in bare.named_parameters():
            state[name] = _full_parameter(parameter)
        state.update(
            (name, buffer.detach().cpu()) for name, buffer in bare.named_buffers() if name in bare.state_dict()
        )
        return {name: value for name, value in state.items() if not (self.exclude_frozen and name in frozen)}

    def load_model_state(
        self, model: nn.Module, checkpoint: dict[str, Any], strict: bool, revise_keys: list[tuple[str, str]]
    ) -> Any:
        """Loads complete weights; with ZeRO stage 3 each rank keeps its own shard of them."""
        parameters = list(unwrap(model).parameters())
        with _gathered(parameters, self.stage):
            report = super().load_model_state(model, checkpoint, strict, revise_keys)
        if isinstance(model, EngineModel) and model.engine is not None:
            refresh_masters(model.engine.optimizer)
        return report

    def optim_state(self, model: nn.Module, optim_wrapper: Any) -> dict[str, Any]:
        """Returns complete optimizer state in the form of torch's ``Optimizer.state_dict``. All ranks must call it."""
        return optim_wrapper.state_of(unwrap(model))  # type: ignore[no-any-return]  # a dict

    def load_optim_state(self, model: nn.Module, optim_wrapper: Any, state: Mapping[str, Any]) -> None:
        """Loads optimizer state that any strategy has saved; each rank keeps its own shard."""
        optim_wrapper.take_state(unwrap(model), state)


def import_deepspeed() -> Any:
    """Imports and returns the module ``deepspeed``.

    Raises:
        SettingsError: DeepSpeed is not installed.
    """
    try:
        import deepspeed
    except ImportError as error:
        raise SettingsError(
            f"the strategy DeepSpeed needs the package deepspeed ({error}): pip install 'deepspeed>=0.16'; on a machine "
            "without GPU set DS_ACCELERATOR=cpu"
        ) from error
    if deepspeed.accelerator.get_accelerator().device_name() == "cpu":
        # DeepSpeed would compile its shared-memory operator at the start of a run. Compiling fails without a compiler,
        # and waits for ever on the lock file of an interrupted build. Collectives run through gloo instead.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


def _of_wrapper(optim_wrapper: OptimWrapper, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entries of DeepSpeed's config that follow from the optimizer wrapper.

    These entries are the gradient clipping, the accumulation steps and the total batch size over all ranks.
    """
    clip = optim_wrapper.clip_grad_kwargs or {}
    if clip and "max_norm" not in clip:
        raise SettingsError("DeepSpeed clips by the norm only: clip_grad=dict(max_norm=...)")
    counts = optim_wrapper.accumulative_counts
    micro = config["train_micro_batch_size_per_gpu"]
    steps = config.get("gradient_accumulation_steps") or counts
    _check_batch(config.get("train_batch_size"), micro, steps)
    return {
        "gradient_clipping": config.get("gradient_clipping") or clip.get("max_norm", 0.0),
        "gradient_accumulation_steps": steps,
        "train_batch_size": micro * steps * get_world_size(),
    }


def _check_batch(batch_size: object, micro: int, steps: int) -> None:
    """Raises a SettingsError if ``train_batch_size`` contradicts micro-batch size x accumulation steps x ranks."""
    world = get_world_size()
    if batch_size not in (None, "auto", micro * steps * world):
        raise SettingsError(
            f"strategy.config.train_batch_size={batch_size} is not {micro} samples (train_micro_batch_size_per_gpu) x {steps} "
            f"accumulated losses x {world} ranks = {micro * steps * world}; leave it out, or make them agree"
        )


def _full_parameter(parameter: nn.Parameter) -> torch.Tensor:
    """Returns a copy on the CPU of a parameter's full-precision value, gathered from the ranks that hold its shards."""
    from deepspeed.utils import safe_get_full_fp32_param

    mine: torch.Tensor = parameter.detach()
    if parameter.requires_grad:  # DeepSpeed returns None for a parameter without a full-precision copy.
        full: torch.Tensor | None = safe_get_full_fp32_param(parameter)
        if full is not None:
            mine = full.detach().reshape(whole_shape(parameter))
    return mine.cpu().clone()


@contextmanager
def _gathered(parameters: list[Any], stage: int) -> Iterator[None]:
    """With ZeRO stage 3, gathers complete parameters for the context, and shards rank 0's values again at its end."""
    if stage < 3 or not any(is_partitioned(p) for p in parameters):
        yield
        return
    with import_deepspeed().zero.GatheredParameters(parameters, modifier_rank=0):
        yield
