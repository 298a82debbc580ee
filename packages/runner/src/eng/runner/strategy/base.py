"""What the runner asks of a strategy: place the model, and turn live parts into state and back."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.checkpoint import CheckpointWriter, WriteBeside, WriteNothing, WriteNow, get_state_dict
from eng.checkpoint._writers import Beside
from eng.checkpoint.unwrap import unwrap
from eng.dist import all_gather_object, broadcast, get_rank, get_world_size
from eng.model.base_module import init_given_weights
from eng.optim import OptimWrapper
from eng.runner.persistence import MapLocation

from .. import persistence
from ..errors import SettingsError


class BaseStrategy(metaclass=ABCMeta):
    """How a model lives on one or several devices.

    The runner asks a strategy to place the model, and for the state of model and optimizer as plain tensors with the
    names that they have on one device, so that a checkpoint does not depend on the strategy.

    Args:
        work_dir: folder of the run.
        experiment_name: name of the run.
        env_kwargs: settings of the environment, when the strategy is used without a runner.
        log_kwargs: settings of the logger, when the strategy is used without a runner.
        auto_scale_lr: see :class:`eng.runner.Runner`.

    Attributes:
        sets_weights: whether :meth:`init_weights` initialises models. True by default; the runner may change it.
        model_is_given: whether the model was given as an object, so that weights which it has are kept. False by default;
            the runner tells.
        sharded: whether a checkpoint is a folder to which every rank writes its shards. False by default.
        needs_its_wrapper: whether :meth:`convert_model` places the model whatever ``model_wrapper_cfg`` says. False by
            default, which lets that config choose the wrapper.
    """

    sets_weights = True
    model_is_given = False
    sharded = False
    needs_its_wrapper = False

    def __init__(
        self,
        *,
        work_dir: str = "work_dirs",
        experiment_name: str | None = None,
        env_kwargs: dict[str, Any] | None = None,
        log_kwargs: dict[str, Any] | None = None,
        auto_scale_lr: dict[str, Any] | None = None,
    ) -> None:
        self.work_dir = work_dir
        self.experiment_name = experiment_name
        self.env_kwargs = dict(env_kwargs or {})
        self.log_kwargs = dict(log_kwargs or {})
        self.auto_scale_lr = auto_scale_lr

    @abstractmethod
    def convert_model(self, model: nn.Module) -> nn.Module:
        """The model on its device, wrapped for training."""

    def prepare_optim(self, model: nn.Module, optim_wrapper: OptimWrapper) -> OptimWrapper:
        """The optimizer wrapper that the run uses, once it is built; as it is, by default."""
        return optim_wrapper

    def init_weights(self, model: nn.Module) -> None:
        """Lets the model set its weights, and gives all ranks those of rank 0."""
        bare: Any = unwrap(model)
        if not hasattr(bare, "init_weights"):
            return
        if self.sets_weights and self.model_is_given:
            init_given_weights(bare)
        elif self.sets_weights:
            bare.init_weights()
        if get_world_size() > 1:
            with torch.no_grad():
                for tensor in bare.state_dict().values():
                    broadcast(tensor)

    def writes(self) -> bool:
        """Whether this process writes checkpoints; the others only take part in gathering them."""
        return get_rank() == 0

    def model_state(self, model: nn.Module) -> dict[str, Any]:
        """The weights where they lie, under the names that they have without wrappers."""
        return dict(get_state_dict(unwrap(model)))

    def load_model_state(
        self, model: nn.Module, checkpoint: dict[str, Any], strict: bool, revise_keys: list[tuple[str, str]]
    ) -> Any:
        """Loads the weights of a checkpoint and gives the report of what matched."""
        from eng.checkpoint import _load_checkpoint_to_model

        reports: list[Any] = []
        options: dict[str, Any] = {"strict": strict, "revise_keys": revise_keys}
        _load_checkpoint_to_model(unwrap(model), checkpoint, logger="current", on_report=reports.append, **options)
        return reports[0]

    def optim_state(self, model: nn.Module, optim_wrapper: OptimWrapper) -> dict[str, Any]:
        """The optimizer's state."""
        state: dict[str, Any] = optim_wrapper.state_dict()
        return state

    def load_optim_state(self, model: nn.Module, optim_wrapper: OptimWrapper, state: Mapping[str, Any]) -> None:
        """Loads the optimizer's state."""
        optim_wrapper.load_state_dict(state)

    def accumulation_state(self, optim_wrapper: OptimWrapper) -> Any:
        """The open accumulation window of this rank; a list with one entry per rank where they differ."""
        state = optim_wrapper.accumulation_state()
        if get_world_size() == 1 or not all_gather_object(_is_open(state))[0]:
            return state
        return all_gather_object(state)

    def load_accumulation_state(self, optim_wrapper: OptimWrapper, state: Any) -> None:
        """Opens the accumulation window again.

        On another number of ranks each gets its share of what the saved ranks had.
        """
        if isinstance(state, list) and len(state) == get_world_size():
            state = state[get_rank()]
        else:
            state = window_share(state, get_world_size())
        optim_wrapper.load_accumulation_state(state)

    def read(self, filename: str, map_location: MapLocation, model: nn.Module) -> dict[str, Any]:
        """A checkpoint as it lies in its file, or in the folder of a sharded one."""
        from .sharded_files import is_other_folder, read_folder

        if is_other_folder(filename):
            return read_folder(filename, map_location)
        return persistence.read(filename, map_location)

    def portable(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """The checkpoint as it is written, so that every strategy reads it; all ranks call it."""
        return checkpoint

    def checkpoint_writer(self, backend_args: Any, *, beside: Beside) -> CheckpointWriter:
        """What writes checkpoints; all ranks call it.

        Args:
            backend_args: options of the storage.
            beside: write beside training, from a copy: True in a thread, ``"process"`` in a process of each rank.

        Raises:
            SettingsError: ``"process"``, where rank 0 writes one file.
        """
        if beside == "process":
            raise SettingsError(
                "CheckpointHook(async_save='process') needs a sharded checkpoint, to which each rank writes its part: "
                f"strategy=dict(type='FSDP2' or 'Mesh', checkpoint='sharded'). {type(self).__name__} writes one file here: "
                "async_save=True writes it beside training, in a thread"
            )
        if not self.writes():
            return WriteNothing()
        if beside:
            return WriteBeside(backend_args)
        return WriteNow(backend_args)

    def close(self) -> None:
        """Ends what runs beside training."""


def _is_open(state: object) -> bool:
    if isinstance(state, Mapping) and "gradients" in state:
        return bool(state["gradients"]) or state.get("weight") is not None
    return isinstance(state, Mapping) and any(_is_open(part) for part in state.values())


def window_share(state: Any, ranks: int) -> Any:
    """The window of each of `ranks` ranks that go on from a saved window.

    Gradients of means stay as they are, as ranks average them. Gradients of weighted losses are sums, so that they and their
    weight are shared out.

    Args:
        state: one window per rank, or one in place of them, whose ``ranks`` says how many it is the mean of (1 without).
        ranks: ranks that go on.
    """
    if isinstance(state, list):
        saved_ranks, state = len(state), _mean_window(state)
    else:
        saved_ranks = state.get("ranks", 1)
    return _scaled_sums(state, saved_ranks / ranks)


def _scaled_sums(state: Any, factor: float) -> Any:
    """The window with its sums times a factor."""
    if "gradients" not in state:  # of several wrappers, by name
        return {name: _scaled_sums(part, factor) for name, part in state.items()}
    if state["weight"] is None or factor == 1:
        return state
    gradients = {name: gradient * factor for name, gradient in state["gradients"].items()}
    return {**state, "gradients": gradients, "weight": state["weight"] * factor}


def _mean_window(states: list[Any]) -> Any:
    """One window in place of several ranks' windows."""
    first = states[0]
    if isinstance(first, torch.Tensor):
        mean = sum(state.double() for state in states).div(len(states))
        return mean.to(first.dtype) if first.is_floating_point() else mean
    if isinstance(first, Mapping):
        return {key: _mean_window([state[key] for state in states]) for key in first}
    if isinstance(first, float):
        return sum(states) / len(states)
    return first
