"""The five strategies of MMEngine."""

from __future__ import annotations

from typing import Any

from torch import nn

from eng.registry import MODEL_WRAPPERS
from eng.runner.activation_checkpointing import turn_on_activation_checkpointing
from eng.runner.errors import SettingsError
from eng.runner.strategy import DDPStrategy as Replicating
from eng.runner.strategy import DeepSpeedStrategy as Zero
from eng.runner.strategy import FSDPStrategy as Sharding
from eng.runner.strategy import SingleDeviceStrategy as OneDevice
from eng.runner.strategy._zero_model import EngineModel

from .base import BaseStrategy


class SingleDeviceStrategy(BaseStrategy, OneDevice):
    """Trains on one device; the arguments are those of `BaseStrategy`."""


class DDPStrategy(SingleDeviceStrategy, Replicating):
    """Trains with one process per device, each with a complete copy of the model (DistributedDataParallel).

    Args:
        model_wrapper: config of the model wrapper.
        sync_bn: ``"torch"`` replaces BatchNorm by SyncBatchNorm.
        **kwargs: arguments of `BaseStrategy`.
    """

    def __init__(
        self, *, model_wrapper: dict[str, Any] | None = None, sync_bn: str | None = None, **kwargs: Any
    ) -> None:
        Replicating.__init__(self, model_wrapper=model_wrapper, sync_bn=sync_bn, **kwargs)

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Returns the model on its device, inside the model wrapper."""
        return Replicating.convert_model(self, model)


class FSDPStrategy(DDPStrategy, Sharding):
    """Trains with a model whose parameters are sharded over the ranks (FSDP).

    Args:
        model_wrapper: options of :class:`eng.model.MMFullyShardedDataParallel`.
        skip_init_weights: whether to skip the call of ``init_weights``.
        state_dict_cfg: ``"local"`` (default) writes sharded checkpoints, each a folder; ``"full"``, or a dict whose
            ``state_dict_type`` is ``FULL_STATE_DICT``, writes one file.
        activation_checkpointing: ``dict(modules=[...])`` with dotted names of modules.
        **kwargs: arguments of `BaseStrategy`.
    """

    def __init__(
        self,
        *,
        model_wrapper: dict[str, Any] | None = None,
        skip_init_weights: bool = False,
        state_dict_cfg: str | dict[str, Any] = "local",
        activation_checkpointing: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        state_dict_type = (
            state_dict_cfg if isinstance(state_dict_cfg, str) else state_dict_cfg.get("state_dict_type", "")
        )
        form = "full" if "full" in str(state_dict_type).lower() else "sharded"
        Sharding.__init__(
            self, model_wrapper=model_wrapper, skip_init_weights=skip_init_weights, checkpoint=form, **kwargs
        )
        self._checkpointed = (activation_checkpointing or {}).get("modules", [])

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Returns the model with sharded parameters."""
        if self._checkpointed:
            turn_on_activation_checkpointing(model, self._checkpointed)
        return Sharding.convert_model(self, model)


@MODEL_WRAPPERS.register_module()
class MMDeepSpeedEngineWrapper(EngineModel):
    """Model wrapper around DeepSpeed's engine, which is the attribute ``model``.

    Args:
        model: DeepSpeed's engine, or a model for which no engine exists yet.
        inputs_to_half: names and positions of the inputs that are converted to half precision.
    """

    def __init__(self, *, model: Any, inputs_to_half: list[int | str] | None = None) -> None:
        is_engine = hasattr(model, "backward")
        super().__init__(model.module if is_engine else model)
        self._inputs_to_half = inputs_to_half
        if is_engine:
            self.engine = model

    @property
    def model(self) -> Any:
        """DeepSpeed's engine; the unwrapped model before the engine is created."""
        return self.engine if self.engine is not None else self.module


class DeepSpeedStrategy(BaseStrategy, Zero):
    """Trains with DeepSpeed's ZeRO; the arguments are those of :class:`eng.runner.strategy.DeepSpeedStrategy`."""

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
        arguments = {key: value for key, value in locals().items() if key not in ("self", "kwargs", "__class__")}
        Zero.__init__(self, **arguments, **kwargs)

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Returns the model on its device, inside the wrapper that :meth:`_wrap_model` creates."""
        placed: Any = Zero.convert_model(self, model)
        return self._wrap_model(placed.module)

    @property
    def exclude_frozen_parameters(self) -> bool:
        """Whether checkpoints omit frozen parameters."""
        return self.exclude_frozen

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        """Wraps a model. Subclasses in old code override this method."""
        return MMDeepSpeedEngineWrapper(model=model, inputs_to_half=self.inputs_to_half)


class ColossalAIStrategy(BaseStrategy):
    """Exists only for its name: ColossalAI does not support current PyTorch, so the constructor raises an error.

    Args:
        config: ignored.
        mixed_precision: ignored.
        plugin: ignored.
        model_wrapper: ignored.
        **kwargs: ignored.

    Raises:
        SettingsError: always; the message names the strategies to use instead.
    """

    def __init__(
        self,
        *,
        config: str | dict[str, Any] | None = None,
        mixed_precision: str | dict[str, Any] | None = None,
        plugin: str = "gemini",
        model_wrapper: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        raise SettingsError(
            "ColossalAI does not run on today's PyTorch. In place of its plugin 'gemini' use "
            "strategy=dict(type='FSDP2', wrap_policy=dict(classes=[...])), in place of 'lowlevel-zero' "
            "strategy=dict(type='DeepSpeedStrategy', zero_optimization=dict(stage=2))"
        )

    def convert_model(self, model: nn.Module) -> nn.Module:
        """Returns the model unchanged."""
        return model
