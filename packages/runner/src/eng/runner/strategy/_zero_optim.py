"""DeepSpeed's engine behind the interface of an optimizer wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.device import get_device
from eng.optim import OptimWrapper

from ..errors import SettingsError
from ._deepspeed_names import flat_masters, half_groups, is_partitioned, make_lazy_state
from ._shards import whole_shape


class EngineOptimWrapper(OptimWrapper):
    """An OptimWrapper that runs the backward pass and the optimizer step through DeepSpeed's engine.

    Args:
        plain: the optimizer wrapper that the config describes; the engine was created with its optimizer.
        engine: DeepSpeed's engine.
        counts: number of losses (iterations) that are accumulated for each update.
    """

    has_flat_parameters = True  # The engine's optimizer updates flattened copies instead of the model's parameters.

    def __init__(self, plain: OptimWrapper, engine: Any, counts: int) -> None:
        super().__init__(plain.optimizer)
        self.base_param_settings = plain.base_param_settings
        self._names = plain._names  # noqa: SLF001  # this wrapper replaces `plain`
        self._group_names = None
        if engine.optimizer is not None:
            self._group_names = plain._names.of_groups(engine_groups(engine, plain))  # noqa: SLF001
        self.engine, self._accumulative_counts = engine, counts
        self.logs_norm = bool(engine.gradient_clipping())

    def update_params(
        self,
        loss: torch.Tensor,
        step_kwargs: dict[str, Any] | None = None,
        zero_kwargs: dict[str, Any] | None = None,
        weight: float | torch.Tensor | None = None,
    ) -> None:
        """Runs the backward pass of a loss; the last loss of an accumulation window also updates the parameters.

        After an update, the norm of the gradients is logged as ``grad_norm`` if the engine clips gradients.

        Args:
            loss: 0-dim tensor to differentiate.
            step_kwargs: must be None or empty, because the engine calls ``step`` itself.
            zero_kwargs: must be None or empty, because the engine resets gradients itself.
            weight: must be None, because the engine supports no loss weights.

        Raises:
            SettingsError: an argument other than ``loss`` is given.
        """
        if step_kwargs or zero_kwargs or weight is not None:
            raise SettingsError(
                "DeepSpeed's engine takes no loss weights and no arguments of step or zero_grad: leave them out, or train "
                "with strategy=dict(type='FSDP2')"
            )
        ends = self.should_sync()
        self.engine.backward(self.scale_loss(loss), scale_wrt_gas=False)
        self._inner_count += 1
        self.engine.step()
        self._announce_next()
        if ends:
            self.update_count += 1
            self._last_update_at = self._inner_count
            norm = None
            if self.logs_norm:
                norm = self.engine.get_global_grad_norm()
            if norm is not None:
                self.message_hub.update_scalar("train/grad_norm", float(norm))

    def end_window(self, model: nn.Module | None = None) -> None:
        """Does nothing: the engine has updated already, because it knew the length of the last accumulation window."""

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Sets the finished and the total iterations of a run, whose last accumulation window may be shorter."""
        super().initialize_count_status(model, init_counts, max_counts)
        self._announce_next()

    def _announce_next(self) -> None:
        """Tells the engine whether the next loss is the last of an accumulation window.

        The engine itself would count windows from the start of the process, which is wrong in a resumed run.
        """
        self.engine.set_gradient_accumulation_boundary(self.should_sync())

    def accumulation_state(self) -> dict[str, Any]:
        """Returns the counters of losses and updates, without gradients.

        The accumulated gradients of an unfinished window stay inside the engine and are not saved.
        """
        return {"inner_count": self._inner_count, "update_count": self.update_count, "gradients": {}, "weight": None}

    def load_accumulation_state(self, state: Mapping[str, Any]) -> None:
        """Restores the counters of losses and updates; gradients of an unfinished accumulation window are lost."""
        self._inner_count, self.update_count = state["inner_count"], state["update_count"]
        self._announce_next()

    def state_of(self, model: nn.Module) -> dict[str, Any]:
        """Gathers the optimizer state of all ranks into the form of ``OptimWrapper.state_dict()``.

        All ranks must call this method.
        """
        if self._is_whole():
            return super().state_dict()
        from deepspeed.utils import safe_get_full_optimizer_state

        steps, keys = self._steps(), self._state_keys()
        places = {name: i for i, (name, _) in enumerate(self._named_parameters(model))}
        state: dict[int, Any] = {}
        for name, parameter in self._named_parameters(model):
            values = {key: safe_get_full_optimizer_state(parameter, key) for key in keys}
            entries = {
                key: value.detach().cpu().reshape(whole_shape(parameter))
                for key, value in values.items()
                if value is not None
            }
            if entries and steps is not None:
                # A copy of the count for each parameter: torch.save keeps aliasing, so one shared tensor would be
                # incremented once per parameter after loading.
                entries = {"step": _copied(steps), **entries}
            if entries:
                state[places[name]] = entries
        groups, begin = [], 0
        for group, names in zip(self.optimizer.param_groups, self._group_names or [], strict=True):
            hyperparameters = {key: value for key, value in group.items() if key not in ("params", "param_names")}
            groups.append({**hyperparameters, "params": list(range(begin, begin + len(names))), "param_names": names})
            begin += len(names)
        return {"state": state, "param_groups": groups, **self._base()}

    def take_state(self, model: nn.Module, saved: Mapping[str, Any]) -> None:
        """Loads optimizer state in the form of ``OptimWrapper.state_dict()``; each rank keeps its own shard."""
        if self._is_whole():
            super().load_state_dict(dict(saved))
            return
        by_name = {
            name: saved["state"].get(index, {})
            for group in saved["param_groups"]
            for index, name in zip(group["params"], group.get("param_names", ()), strict=False)
        }
        for group, source in zip(self.optimizer.param_groups, saved["param_groups"], strict=True):
            group.update({key: value for key, value in source.items() if key not in ("params", "param_names")})
        self.base_param_settings = saved.get("base_param_settings", self.base_param_settings)
        steps = next((entry["step"] for entry in by_name.values() if "step" in entry), None)
        keys = {key for entry in by_name.values() for key, value in entry.items() if isinstance(value, torch.Tensor)}
        self._make_state(keys - {"step"}, steps)
        for name, parameter in self._named_parameters(model):
            for key, value in by_name.get(name, {}).items():
                if key != "step" and isinstance(value, torch.Tensor):
                    _set_state(parameter, key, value.to(get_device()))

    def _make_state(self, keys: set[str], steps: Any) -> None:
        """Creates the optimizer state that the first step would create, so that loaded tensors can be copied into it.

        Args:
            keys: names of the state tensors of each parameter, such as ``exp_avg``.
            steps: value of the step counter, or None if the optimizer has no step counter.
        """
        zero = self.engine.optimizer
        for parameter in flat_masters(zero) or [p for group in self.optimizer.param_groups for p in group["params"]]:
            state = self.optimizer.state[parameter]
            for key in keys:
                state.setdefault(key, torch.zeros_like(parameter, requires_grad=False))
            if steps is not None:
                state["step"] = _copied(steps)
        make_lazy_state(zero)

    def _is_whole(self) -> bool:
        """Whether the engine uses the original optimizer unchanged, as with ZeRO stage 0 in full precision."""
        return self.engine.optimizer is self.optimizer

    def _base(self) -> dict[str, Any]:
        """Returns the entry ``base_param_settings`` of a state dict; empty if the optimizer wrapper has none."""
        if self.base_param_settings is None:
            return {}
        return {"base_param_settings": self.base_param_settings}

    def _named_parameters(self, model: nn.Module) -> list[tuple[str, Any]]:
        """Returns names and parameters in the order of the engine's parameter groups."""
        named = dict(model.named_parameters())
        return [(name, named[name]) for names in self._group_names or [] for name in names]

    def _steps(self) -> Any:
        """Returns the step counter of the optimizer, a tensor or a number; None if it has none."""
        return next((state["step"] for state in self.optimizer.state.values() if "step" in state), None)

    def _state_keys(self) -> list[str]:
        """Returns the names of the state tensors, such as ``exp_avg``, without the step counter."""
        states = self.optimizer.state.values()
        return sorted(
            {key for s in states for key, value in s.items() if key != "step" and isinstance(value, torch.Tensor)}
        )


def engine_groups(engine: Any, plain: OptimWrapper) -> list[dict[str, Any]]:
    """Returns parameter groups that contain the model's parameters, in the order of the engine's optimizer.

    The groups of the engine's optimizer itself contain flattened copies instead of the model's parameters.
    """
    groups = half_groups(engine.optimizer)
    if groups is None:
        return plain.optimizer.param_groups  # type: ignore[no-any-return]  # groups of torch
    if len(groups) != len(plain.optimizer.param_groups):
        groups = [[p for part in groups for p in part]]  # ZeRO stage 3 splits a group into sub-groups.
    return [{"params": list(parameters)} for parameters in groups]


def _set_state(parameter: Any, key: str, value: torch.Tensor) -> None:
    """Copies a complete tensor of optimizer state into the state of a parameter; each rank copies its own part.

    Args:
        parameter: a parameter of the model.
        key: name of the state tensor, such as ``exp_avg``.
        value: the complete tensor.
    """
    from deepspeed.utils import safe_set_full_optimizer_state, safe_set_local_optimizer_state

    if not is_partitioned(parameter):
        safe_set_full_optimizer_state(parameter, value, key)
        return
    # ZeRO stage 3 pads the part of the last rank; safe_set_full_optimizer_state of DeepSpeed 0.19 does not handle the
    # padding and would fail.
    length = parameter.ds_tensor.numel()
    begin = length * torch.distributed.get_rank(parameter.ds_process_group)
    part = value.flatten()[begin : begin + length]
    safe_set_local_optimizer_state(parameter, nn.functional.pad(part, (0, length - part.numel())), key)


def _copied(count: object) -> Any:
    """Returns a clone of a step counter that is a tensor; a number is returned unchanged."""
    if isinstance(count, torch.Tensor):
        return count.clone()
    return count
