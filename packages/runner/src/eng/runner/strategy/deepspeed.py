"""DeepSpeed's ZeRO: optimizer state (1), gradients (2) and parameters (3) are spread over the ranks."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eng.device import get_device
from eng.dist import get_world_size, is_distributed
from eng.optim import OptimWrapper
from eng.registry import MODEL_WRAPPERS, STRATEGIES

from ..errors import SettingsError
from .base import BaseStrategy, bare_model


@STRATEGIES.register_module()
class DeepSpeedStrategy(BaseStrategy):
    """Trains through DeepSpeed's engine.

    A checkpoint has the names and whole tensors of the plain model and its optimizer, so that any strategy goes on from
    it. Clipping, accumulation and learning rates come from ``optim_wrapper``, as for every other strategy.

    Args:
        config: DeepSpeed's config, a dict or the path of a JSON file; the further arguments replace its entries.
        zero_optimization: such as ``dict(stage=2)``; stage 1 by default.
        gradient_clipping: largest norm; None (default) takes ``optim_wrapper.clip_grad``.
        fp16: DeepSpeed's options of float16.
        inputs_to_half: kept for configs of the reference; the engine casts the inputs of half-precision runs itself.
        bf16: DeepSpeed's options of bfloat16.
        amp: DeepSpeed's options of Apex.
        activation_checkpointing: DeepSpeed's options.
        aio: DeepSpeed's options of asynchronous files.
        train_micro_batch_size_per_gpu: samples per rank and iteration; 1 by default, which only its reports use.
        gradient_accumulation_steps: None (default) takes ``optim_wrapper.accumulative_counts``.
        steps_per_print: iterations between two reports of DeepSpeed.
        exclude_frozen_parameters: leave frozen parameters out of checkpoints. None (default) keeps them.
        **kwargs: the base's arguments.

    Raises:
        SettingsError: DeepSpeed is not installed, there is no process group, or an option cannot be served.

    Source: Rajbhandari et al. 2020, arXiv:1910.02054.
    """

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
        read = json.loads(Path(config).read_text()) if isinstance(config, str) else copy.deepcopy(config or {})
        given = {
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
        self.config: dict[str, Any] = {**read, **{key: value for key, value in given.items() if value is not None}}
        self.config.setdefault("zero_optimization", {"stage": 1})
        self.config.setdefault("train_micro_batch_size_per_gpu", 1)
        self.config.setdefault("zero_allow_untested_optimizer", True)
        self.config.setdefault("zero_force_ds_cpu_optimizer", False)
        self.inputs_to_half = inputs_to_half
        self.exclude_frozen = bool(exclude_frozen_parameters)

    @property
    def stage(self) -> int:
        """ZeRO's stage, 0 to 3."""
        return int(self.config["zero_optimization"].get("stage", 0))

    def convert_model(self, model: nn.Module) -> nn.Module:
        """The model on its device; DeepSpeed's engine surrounds it when the optimizer is there."""
        if not is_distributed():
            raise SettingsError(
                "the strategy DeepSpeed needs a process group: start with `--nproc N`, torchrun or --launcher slurm|mpi"
            )
        if hasattr(model, "init_weights"):
            super().init_weights(model)
        return EngineModel(model.to(get_device()))

    def init_weights(self, model: nn.Module) -> None:
        """Nothing: the weights were set before the engine took them."""

    def prepare_optim(self, model: nn.Module, optim_wrapper: Any) -> Any:
        """The optimizer wrapper whose backward and step are the engine's."""
        if isinstance(optim_wrapper, EngineOptimWrapper):
            return optim_wrapper
        if type(optim_wrapper) is not OptimWrapper:
            raise SettingsError(
                f"DeepSpeed trains with one OptimWrapper, got {type(optim_wrapper).__name__}; precision is set by the "
                "strategy: bf16=dict(enabled=True) or fp16=dict(enabled=True)"
            )
        assert isinstance(model, EngineModel)
        config = {**self.config, **_of_wrapper(optim_wrapper, self.config)}
        engine, *_ = import_deepspeed().initialize(
            model=model.module, optimizer=optim_wrapper.optimizer, config=config, dist_init_required=False
        )
        model.engine = engine
        return EngineOptimWrapper(optim_wrapper, engine, config["gradient_accumulation_steps"])

    def model_state(self, model: nn.Module) -> dict[str, Any]:
        """The weights, whole and in full precision, under the plain names."""
        bare = bare_model(model)
        state = super().model_state(model) if self.stage < 3 else {}
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
        """Loads the weights, each rank its part."""
        parameters = list(bare_model(model).parameters())
        with _gathered(parameters, self.stage):
            report = super().load_model_state(model, checkpoint, strict, revise_keys)
        engine = getattr(model, "engine", None)
        if engine is not None and self.stage in (1, 2):
            engine.optimizer.refresh_fp32_params()
        return report

    def optim_state(self, model: nn.Module, optim_wrapper: Any) -> dict[str, Any]:
        """The optimizer's state by parameter, whole, in torch's form; all ranks call it."""
        return optim_wrapper.state_of(bare_model(model))  # type: ignore[no-any-return]  # a dict

    def load_optim_state(self, model: nn.Module, optim_wrapper: Any, state: Mapping[str, Any]) -> None:
        """Loads the state of any strategy's optimizer, each rank its part."""
        optim_wrapper.take_state(bare_model(model), state)


@MODEL_WRAPPERS.register_module()
class EngineModel(nn.Module):
    """A model whose training step runs through DeepSpeed's engine, once there is one.

    Args:
        module: the model.
    """

    engine: Any

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module: Any = module
        object.__setattr__(self, "engine", None)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "engine":  # the engine holds the model already
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's forward, through the engine."""
        return (self.engine or self.module)(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        """See :meth:`eng.model.BaseModel.train_step`."""
        from eng.model.base_model.base_model import run_forward

        losses = run_forward(self, self.module.data_preprocessor(data, training=True), "loss")
        parsed_loss, log_vars = self.module.parse_losses(losses)
        optim_wrapper.update_params(parsed_loss)
        return log_vars  # type: ignore[no-any-return]  # module is any model

    def val_step(self, data: Any) -> Any:
        """See :meth:`eng.model.BaseModel.val_step`."""
        return self.module.val_step(data)

    def test_step(self, data: Any) -> Any:
        """See :meth:`eng.model.BaseModel.test_step`."""
        return self.module.test_step(data)


class EngineOptimWrapper(OptimWrapper):
    """Backward and step of DeepSpeed's engine behind the interface of an OptimWrapper.

    Args:
        plain: the wrapper that the config describes; its optimizer is the one inside the engine.
        engine: DeepSpeed's engine.
        counts: losses for each update.
    """

    def __init__(self, plain: OptimWrapper, engine: Any, counts: int) -> None:
        super().__init__(plain.optimizer)
        self.base_param_settings = plain.base_param_settings
        self._names = plain._names  # noqa: SLF001  # it takes the place of `plain`
        self._group_names = None if engine.optimizer is None else plain._names.of_groups(engine_groups(engine, plain))  # noqa: SLF001
        self.engine, self._accumulative_counts = engine, counts
        self.logs_norm = bool(engine.gradient_clipping())

    def update_params(self, loss: torch.Tensor, *_: Any, **__: Any) -> None:
        """Backward, and where a window ends a step; the engine divides the loss by the length of a window."""
        self.engine.backward(loss)
        ends = self.engine.is_gradient_accumulation_boundary()
        self.engine.step()
        self._inner_count += 1
        if ends:
            self.update_count += 1
            norm = self.engine.get_global_grad_norm() if self.logs_norm else None
            if norm is not None:
                self.message_hub.update_scalar("train/grad_norm", float(norm))

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Takes the counters of a resumed run."""
        self._inner_count, self._max_counts = init_counts, max_counts

    def accumulation_state(self) -> dict[str, Any]:
        """The counts; the gradients of an open window stay in the engine."""
        return {"inner_count": self._inner_count, "update_count": self.update_count, "gradients": {}, "weight": None}

    def load_accumulation_state(self, state: Mapping[str, Any]) -> None:
        """Takes the counts."""
        self._inner_count, self.update_count = state["inner_count"], state["update_count"]

    def state_of(self, model: nn.Module) -> dict[str, Any]:
        """What a plain OptimWrapper's ``state_dict`` gives, from the shards of all ranks."""
        from deepspeed.utils import safe_get_full_optimizer_state

        steps, keys = self._steps(), self._state_keys()
        places = {name: i for i, (name, _) in enumerate(self._named_parameters(model))}
        state: dict[int, Any] = {}
        for name, parameter in self._named_parameters(model):
            values = {key: safe_get_full_optimizer_state(parameter, key) for key in keys}
            found = {
                key: value.detach().cpu().reshape(_shape(parameter))
                for key, value in values.items()
                if value is not None
            }
            if found:
                state[places[name]] = {**({} if steps is None else {"step": steps}), **found}
        groups, begin = [], 0
        for group, names in zip(self.optimizer.param_groups, self._group_names or [], strict=True):
            kept = {key: value for key, value in group.items() if key not in ("params", "param_names")}
            groups.append({**kept, "params": list(range(begin, begin + len(names))), "param_names": names})
            begin += len(names)
        return {"state": state, "param_groups": groups, **self._base()}

    def take_state(self, model: nn.Module, saved: Mapping[str, Any]) -> None:
        """Puts a plain optimizer's state into the shards."""
        from deepspeed.utils import safe_set_full_optimizer_state

        by_name = {
            name: saved["state"].get(index, {})
            for group in saved["param_groups"]
            for index, name in zip(group["params"], group.get("param_names", ()), strict=False)
        }
        for group, source in zip(self.optimizer.param_groups, saved["param_groups"], strict=True):
            group.update({key: value for key, value in source.items() if key not in ("params", "param_names")})
        self.base_param_settings = saved.get("base_param_settings", self.base_param_settings)
        for name, parameter in self._named_parameters(model):
            for key, value in by_name.get(name, {}).items():
                if key != "step" and isinstance(value, torch.Tensor):
                    safe_set_full_optimizer_state(parameter, value.to(get_device()), key)
        steps = next((entry["step"] for entry in by_name.values() if "step" in entry), None)
        for state in self.optimizer.state.values():
            if steps is not None and "step" in state:
                state["step"] = steps.clone() if isinstance(steps, torch.Tensor) else steps

    def _base(self) -> dict[str, Any]:
        return {} if self.base_param_settings is None else {"base_param_settings": self.base_param_settings}

    def _named_parameters(self, model: nn.Module) -> list[tuple[str, Any]]:
        named = dict(model.named_parameters())
        return [(name, named[name]) for names in self._group_names or [] for name in names]

    def _steps(self) -> Any:
        return next((state["step"] for state in self.optimizer.state.values() if "step" in state), None)

    def _state_keys(self) -> list[str]:
        states = self.optimizer.state.values()
        return sorted(
            {key for s in states for key, value in s.items() if key != "step" and isinstance(value, torch.Tensor)}
        )


def engine_groups(engine: Any, plain: OptimWrapper) -> list[dict[str, Any]]:
    """The parameter groups of ``plain`` with the model's parameters, which the engine replaced by flat ones."""
    groups = getattr(engine.optimizer, "bit16_groups", None) or getattr(engine.optimizer, "fp16_groups", None)
    if groups is None:
        return plain.optimizer.param_groups  # type: ignore[no-any-return]  # groups of torch
    if len(groups) != len(plain.optimizer.param_groups):
        groups = [[p for part in groups for p in part]]  # stage 3 splits a group into sub groups
    return [{"params": list(parameters)} for parameters in groups]


def import_deepspeed() -> Any:
    """DeepSpeed.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        import deepspeed
    except ImportError as error:
        raise SettingsError(
            f"the strategy DeepSpeed needs the package deepspeed ({error}): pip install 'deepspeed>=0.16'; on a machine "
            "without GPU set DS_ACCELERATOR=cpu"
        ) from error
    return deepspeed


def _of_wrapper(optim_wrapper: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    clip = optim_wrapper.clip_grad_kwargs or {}
    if clip and "max_norm" not in clip:
        raise SettingsError("DeepSpeed clips by the norm only: clip_grad=dict(max_norm=...)")
    counts = optim_wrapper._accumulative_counts  # noqa: SLF001  # one package
    micro = config["train_micro_batch_size_per_gpu"]
    steps = config.get("gradient_accumulation_steps") or counts
    return {
        "gradient_clipping": config.get("gradient_clipping") or clip.get("max_norm", 0.0),
        "gradient_accumulation_steps": steps,
        "train_batch_size": micro * steps * get_world_size(),
    }


def _shape(parameter: Any) -> Any:
    return getattr(parameter, "ds_shape", parameter.shape)


def _full_parameter(parameter: Any) -> torch.Tensor:
    from deepspeed.utils import safe_get_full_fp32_param

    mine: torch.Tensor = parameter.detach()
    if parameter.requires_grad and (hasattr(parameter, "_hp_mapping") or hasattr(parameter, "ds_id")):
        full: torch.Tensor | None = safe_get_full_fp32_param(parameter)
        if full is not None:
            mine = full.detach().reshape(_shape(parameter))
    return mine.cpu().clone()


@contextmanager
def _gathered(parameters: list[Any], stage: int) -> Iterator[None]:
    if stage < 3 or not any(hasattr(p, "ds_id") for p in parameters):
        yield
        return
    with import_deepspeed().zero.GatheredParameters(parameters, modifier_rank=0):
        yield
