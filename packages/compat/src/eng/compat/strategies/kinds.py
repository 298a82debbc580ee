"""The five kinds of strategies of the reference."""

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
    """One device; the arguments are the base's."""


class DDPStrategy(SingleDeviceStrategy, Replicating):
    """One process per device, each with all of the model.

    Args:
        model_wrapper: config of the wrapper.
        sync_bn: ``"torch"`` synchronises BatchNorm.
        **kwargs: the base's arguments.
    """

    def __init__(
        self, *, model_wrapper: dict[str, Any] | None = None, sync_bn: str | None = None, **kwargs: Any
    ) -> None:
        Replicating.__init__(self, model_wrapper=model_wrapper, sync_bn=sync_bn, **kwargs)

    def convert_model(self, model: nn.Module) -> nn.Module:
        """The model on its device, in its wrapper."""
        return Replicating.convert_model(self, model)


class FSDPStrategy(DDPStrategy, Sharding):
    """Each rank keeps a part of the model.

    Args:
        model_wrapper: options of :class:`eng.model.MMFullyShardedDataParallel`.
        skip_init_weights: leave out ``init_weights``.
        state_dict_cfg: ``"local"`` (default) writes sharded folders, ``"full"`` or a dict with ``state_dict_type`` that
            is ``FULL_STATE_DICT`` one file.
        activation_checkpointing: ``dict(modules=[...])``, dotted names.
        **kwargs: the base's arguments.
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
        """The model in shards."""
        if self._checkpointed:
            turn_on_activation_checkpointing(model, self._checkpointed)
        return Sharding.convert_model(self, model)


@MODEL_WRAPPERS.register_module()
class MMDeepSpeedEngineWrapper(EngineModel):
    """A model in DeepSpeed's engine, with the engine under ``model``.

    Args:
        model: DeepSpeed's engine, or a model that has none yet.
        inputs_to_half: names and positions of the inputs that the strategy casts to half precision.
    """

    def __init__(self, *, model: Any, inputs_to_half: list[int | str] | None = None) -> None:
        is_engine = hasattr(model, "backward")
        super().__init__(model.module if is_engine else model)
        self._inputs_to_half = inputs_to_half
        if is_engine:
            self.engine = model

    @property
    def model(self) -> Any:
        """The engine; the bare model before there is one."""
        return self.engine if self.engine is not None else self.module


class DeepSpeedStrategy(BaseStrategy, Zero):
    """DeepSpeed's ZeRO; the arguments are those of :class:`eng.runner.strategy.DeepSpeedStrategy`."""

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
        """The model on its device, in the wrapper that :meth:`_wrap_model` gives."""
        placed: Any = Zero.convert_model(self, model)
        return self._wrap_model(placed.module)

    @property
    def exclude_frozen_parameters(self) -> bool:
        """Whether checkpoints leave frozen parameters out."""
        return self.exclude_frozen

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        """The wrapper of a model. Subclasses of old code extend it."""
        return MMDeepSpeedEngineWrapper(model=model, inputs_to_half=self.inputs_to_half)


class ColossalAIStrategy(BaseStrategy):
    """Kept for its name: ColossalAI does not run on today's PyTorch, so that making one raises.

    Args:
        config: ignored.
        mixed_precision: ignored.
        plugin: ignored.
        model_wrapper: ignored.
        **kwargs: ignored.

    Raises:
        SettingsError: always; it names what takes its place.
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
        """The model as it is."""
        return model
