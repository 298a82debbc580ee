"""BaseStrategy: places a model on devices, and converts the state of model and optimizer for checkpoints."""

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
    """Places a model on one or several devices.

    A strategy also returns the state of model and optimizer as plain tensors under the names that they have on one
    device, so that a checkpoint of one strategy can be loaded by every other.

    Args:
        work_dir: folder into which the run writes its logs and checkpoints.
        experiment_name: name of the run.
        env_kwargs: settings of the environment (backend, seeds), when the strategy is used without a runner.
        log_kwargs: settings of the logger, when the strategy is used without a runner.
        auto_scale_lr: see :class:`eng.runner.Runner`.

    Attributes:
        sets_weights: whether :meth:`init_weights` initialises the model. True by default; the Runner sets it from its
            argument ``init_weights``.
        model_is_given: whether the model was passed as an object, whose weights must not be overwritten. False by
            default; set by the Runner.
        sharded: whether a checkpoint is a folder to which every rank writes its shards. False by default.
        needs_its_wrapper: whether :meth:`convert_model` is called even if the run's config has a ``model_wrapper_cfg``.
            False by default: the wrapper of ``model_wrapper_cfg`` then replaces the one of the strategy.
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
        """Moves the model to its device and wraps it for training."""

    def prepare_optim(self, model: nn.Module, optim_wrapper: OptimWrapper) -> OptimWrapper:
        """Returns the optimizer wrapper that the run uses; this default returns the built one unchanged."""
        return optim_wrapper

    def init_weights(self, model: nn.Module) -> None:
        """Calls the model's ``init_weights()``, and broadcasts the weights of rank 0 to all ranks.

        A model without a method ``init_weights`` stays as it is, and its weights are not broadcast.
        """
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
        """Whether this rank writes the checkpoint file; the other ranks only take part in collecting its content."""
        return get_rank() == 0

    def model_state(self, model: nn.Module) -> dict[str, Any]:
        """Returns the model's weights, on the devices where they are, under the names of the model without wrapper."""
        return dict(get_state_dict(unwrap(model)))

    def load_model_state(
        self, model: nn.Module, checkpoint: dict[str, Any], strict: bool, revise_keys: list[tuple[str, str]]
    ) -> Any:
        """Loads the weights of a checkpoint, and returns the report on matching and missing names."""
        from eng.checkpoint import _load_checkpoint_to_model

        reports: list[Any] = []
        options: dict[str, Any] = {"strict": strict, "revise_keys": revise_keys}
        _load_checkpoint_to_model(unwrap(model), checkpoint, logger="current", on_report=reports.append, **options)
        return reports[0]

    def optim_state(self, model: nn.Module, optim_wrapper: OptimWrapper) -> dict[str, Any]:
        """Returns the state dict of the optimizer wrapper, with the optimizer's state as plain tensors."""
        state: dict[str, Any] = optim_wrapper.state_dict()
        return state

    def load_optim_state(self, model: nn.Module, optim_wrapper: OptimWrapper, state: Mapping[str, Any]) -> None:
        """Loads a state that :meth:`optim_state` returned into the optimizer wrapper."""
        optim_wrapper.load_state_dict(state)

    def accumulation_state(self, optim_wrapper: OptimWrapper) -> Any:
        """Returns the gradients that were accumulated since the last update, with their counters.

        With several ranks, the value is a list with the state of each rank, unless no gradients are accumulated.
        """
        state = optim_wrapper.accumulation_state()
        if get_world_size() == 1 or not all_gather_object(_is_open(state))[0]:
            return state
        return all_gather_object(state)

    def load_accumulation_state(self, optim_wrapper: OptimWrapper, state: Any) -> None:
        """Restores the gradients that a checkpoint holds of an unfinished gradient-accumulation window.

        If another number of ranks wrote the checkpoint, :func:`window_share` converts the gradients for the present
        number.
        """
        if isinstance(state, list) and len(state) == get_world_size():
            state = state[get_rank()]
        else:
            state = window_share(state, get_world_size())
        optim_wrapper.load_accumulation_state(state)

    def read(self, filename: str, map_location: MapLocation, model: nn.Module) -> dict[str, Any]:
        """Reads a checkpoint from its file, or from the folder of a sharded checkpoint."""
        from .sharded_files import is_other_folder, read_folder

        if is_other_folder(filename):
            return read_folder(filename, map_location)
        return persistence.read(filename, map_location)

    def portable(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """Converts a checkpoint to the form that is written to files and that every strategy reads.

        All ranks must call this method, because a strategy may gather shards here.
        """
        return checkpoint

    def checkpoint_writer(self, backend_args: Any, *, beside: Beside) -> CheckpointWriter:
        """Returns the object that writes checkpoints on this rank. All ranks must call this method.

        Args:
            backend_args: options of the storage backend.
            beside: whether training continues while a copy is written: True writes in a thread, ``"process"`` in a
                process of each rank.

        Raises:
            SettingsError: ``beside`` is ``"process"`` and the checkpoint is a single file.
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
        """Waits at the end of a run for background work, such as a checkpoint that is still being written."""


def _is_open(state: object) -> bool:
    """Whether an accumulation state, or one of several by wrapper name, holds gradients that no update has used yet."""
    if isinstance(state, Mapping) and "gradients" in state:
        return bool(state["gradients"]) or state.get("weight") is not None
    return isinstance(state, Mapping) and any(_is_open(part) for part in state.values())


def window_share(state: Any, ranks: int) -> Any:
    """Converts saved gradient-accumulation windows to the window with which each of `ranks` ranks resumes.

    Gradients of unweighted losses are means and stay unchanged, because ranks average their gradients. Gradients of
    losses with a ``loss_weight`` are sums: the gradients and their total weight are divided among the resuming ranks.

    Args:
        state: a list with the saved window of each rank, or one window that is the mean over ranks; the key ``ranks``
            of that window is the number of ranks averaged (1 if the key is missing).
        ranks: number of ranks that resume.
    """
    if isinstance(state, list):
        saved_ranks, state = len(state), _mean_window(state)
    else:
        saved_ranks = state.get("ranks", 1)
    return _scaled_sums(state, saved_ranks / ranks)


def _scaled_sums(state: Any, factor: float) -> Any:
    """Multiplies the summed gradients and the weight of an accumulation window by a factor.

    A window without weight holds mean gradients and is returned unchanged, as is the state of another wrapper class.
    """
    if factor == 1 or not isinstance(state, Mapping):
        return state
    if "gradients" not in state:  # A mapping from the names of several optimizer wrappers to their windows.
        return {name: _scaled_sums(part, factor) for name, part in state.items()}
    if state.get("weight") is None:
        return state
    gradients = {name: gradient * factor for name, gradient in state["gradients"].items()}
    return {**state, "gradients": gradients, "weight": state["weight"] * factor}


def _mean_window(states: list[Any]) -> Any:
    """Averages the tensors and floats of several ranks' accumulation windows; other values are those of rank 0."""
    first = states[0]
    if isinstance(first, torch.Tensor):
        mean = sum(state.double() for state in states).div(len(states))
        return mean.to(first.dtype) if first.is_floating_point() else mean
    if isinstance(first, Mapping):
        mean_values = {key: _mean_window([state[key] for state in states]) for key in first}
        if isinstance(first.get("weight"), int):  # The sum of integer weights; other integers are counts of rank 0.
            mean_values["weight"] = sum(state["weight"] for state in states) / len(states)
        return mean_values
    if isinstance(first, float):
        return sum(states) / len(states)
    return first
