"""BaseInferencer: inference in four steps, preprocess, forward, visualize and postprocess."""

from __future__ import annotations

import logging
import re
import uuid
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import ceil
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from eng.checkpoint import CheckpointLoader, _load_checkpoint_to_model
from eng.config import Config, ConfigDict
from eng.dataset import pseudo_collate
from eng.device import get_device
from eng.hub import list_model_entries
from eng.logging.notes import add_note
from eng.model import revert_sync_batchnorm
from eng.registry import FUNCTIONS, VISUALIZERS, DefaultScope, registered_only
from eng.runner.assemble.model import model_of_config
from eng.visualization import Visualizer

from .errors import InputError
from .inputs import as_list, in_chunks
from .sources import ModelType, config_and_weights, published

InputType = str | np.ndarray | torch.Tensor
InputsType = InputType | Sequence[InputType]
ResType = Any

logger = logging.getLogger(__name__)
_STEPS = ("preprocess", "forward", "visualize", "postprocess")


class BaseInferencer(ABC):
    """Runs a trained model on files, directories, URLs, arrays or lists of these.

    A subclass defines how an input is prepared (`_init_pipeline`), how predictions are drawn (`visualize`) and how they
    are returned (`postprocess`). Its class attributes ``preprocess_kwargs``, ``forward_kwargs``, ``visualize_kwargs``
    and ``postprocess_kwargs`` are sets with the names of those keyword arguments of a call that the step takes.

    Several threads may call an inferencer at the same time, because a call does not change its attributes.

    Args:
        model: a config, the path of a config, or the name of a model that a library publishes. None takes the config in
            the checkpoint, which is read without running code and may name only registered classes.
        weights: path or URL of a checkpoint. None (default) takes the checkpoint of a published model; without any
            checkpoint the weights are random.
        device: name of the device, such as ``"cuda:0"``; None (default) is an accelerator if available, else the CPU.
        scope: the library in whose registries names are looked up first; None (default) is the current default scope,
            or ``"eng"``.
        show_progress: whether to show a progress bar on a terminal.
        weight: another name of `weights`, which MMEngine's manual uses.

    Raises:
        ValueError: there is neither a model nor weights, both `weights` and `weight` are given, the checkpoint has no
            config, or the device is not available.
        KeyError: the library publishes no such model.
        TypeError: two steps of the class list the same keyword argument.
    """

    preprocess_kwargs: ClassVar[set[str]] = set()
    forward_kwargs: ClassVar[set[str]] = set()
    visualize_kwargs: ClassVar[set[str]] = set()
    postprocess_kwargs: ClassVar[set[str]] = set()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Checks the names of keyword arguments in a new subclass: no two steps may list the same name.

        Raises:
            TypeError: two steps list the same name, or ``preprocess_kwargs`` or one of the other three is a string.
        """
        super().__init_subclass__(**kwargs)
        owner: dict[str, str] = {}
        for step in _STEPS:
            names = getattr(cls, f"{step}_kwargs")
            if isinstance(names, str):
                raise TypeError(f"{cls.__name__}.{step}_kwargs must be a set of names, got the text {names!r}")
            if not isinstance(names, Set):
                class_name = type(names).__name__
                warnings.warn(f"{cls.__name__}.{step}_kwargs is a {class_name}; give a set of names", stacklevel=2)
            for name in names:
                if name in owner:
                    raise TypeError(f"{cls.__name__}: {name!r} is named by {owner[name]}_kwargs and by {step}_kwargs")
                owner[name] = step

    def __init__(
        self,
        model: ModelType | None = None,
        weights: str | None = None,
        device: str | None = None,
        scope: str | None = None,
        show_progress: bool = True,
        *,
        weight: str | None = None,
    ) -> None:
        if weights is not None and weight is not None:
            raise ValueError("weights and weight are the same thing: give one of them")
        if weights is None:
            weights = weight
        self.scope = scope or _current_scope()
        self.show_progress = show_progress
        self.device = _check_device(device or get_device())
        self._accepts_any_type = model is not None
        with self._in_scope():
            self.cfg, checkpoint = config_and_weights(model, weights, self._load_model_from_metafile)
            self.model = self._init_model(self.cfg, checkpoint, str(self.device))
            self.pipeline = self._init_pipeline(self.cfg)
            self.collate_fn = self._init_collate(self.cfg)
            self.visualizer = self._init_visualizer(self.cfg)

    def __call__(
        self, inputs: InputsType, return_datasamples: bool = False, batch_size: int = 1, **kwargs: Any
    ) -> dict[str, Any]:
        """Runs the model on one or several inputs.

        Args:
            inputs: a path, a directory (all its files), a URL, an array, a tensor, or a sequence of these.
            return_datasamples: whether predictions are data elements instead of plain values.
            batch_size: number of inputs per batch.
            **kwargs: arguments of the four steps; see the class.

        Returns:
            the result of `postprocess`: by convention a dict with ``predictions`` and ``visualization``, each with one
            entry per input.

        Raises:
            ValueError: there are no inputs, no step takes one of the arguments, or the batch size is below 1.
        """
        for_preprocess, for_forward, for_visualize, for_postprocess = self._dispatch_kwargs(**kwargs)
        single = self._inputs_to_list(inputs)
        predictions: list[Any] = []
        with self._in_scope():
            batches = self.preprocess(single, batch_size=batch_size, **for_preprocess)
            for batch in self._with_progress(batches, total=ceil(len(single) / max(batch_size, 1))):
                predictions.extend(self.forward(batch, **for_forward))
            pictures = self.visualize(single, predictions, **for_visualize)
            return self.postprocess(predictions, pictures, return_datasamples, **for_postprocess)

    @contextmanager
    def _in_scope(self) -> Iterator[None]:
        """Makes the inferencer's scope the default scope for registries while the ``with`` block runs.

        If the config comes from a checkpoint, only registered classes and ``nn.Module`` classes can be built from it in
        the block. A config that the user has passed may name any class or function.
        """
        restriction: AbstractContextManager[Any] = nullcontext()
        if not self._accepts_any_type:
            restriction = registered_only(_is_module_class)
        with DefaultScope.overwrite_default_scope(self.scope), restriction:
            yield

    def preprocess(self, inputs: InputsType, batch_size: int = 1, **kwargs: Any) -> Iterator[Any]:
        """Yields batches of inputs after the pipeline; each batch is prepared when the caller requests it.

        Args:
            inputs: the inputs, one item each.
            batch_size: number of inputs per batch.
            **kwargs: arguments listed in ``preprocess_kwargs``. This implementation ignores them; a subclass may use
                them.

        Yields:
            batches, as the collate function returns them.
        """
        yield from map(self.collate_fn, self._get_chunk_data(map(self._prepare, inputs), batch_size))

    def forward(self, inputs: dict[str, Any] | tuple[Any, ...], **kwargs: Any) -> Any:
        """Returns the model's predictions for a batch, computed without gradients."""
        with torch.inference_mode():
            return self.model.test_step(inputs, **kwargs)  # type: ignore[operator]  # models of eng have it

    @abstractmethod
    def visualize(self, inputs: list[Any], preds: Any, show: bool = False, **kwargs: Any) -> list[np.ndarray] | None:
        """Draws the predictions.

        Args:
            inputs: the inputs as the user passed them, one item each.
            preds: the predictions, one per input.
            show: whether to open a window for each image.
            **kwargs: arguments listed in ``visualize_kwargs``.

        Returns:
            one image per input, (height, width, 3) uint8; None if the inferencer draws nothing.
        """

    @abstractmethod
    def postprocess(
        self, preds: Any, visualization: list[np.ndarray] | None, return_datasample: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """Returns the result of a call of the inferencer: by convention a dict with predictions and images.

        The keys of this dict are ``predictions`` and ``visualization``.

        Args:
            preds: the predictions, one per input.
            visualization: the result of `visualize`.
            return_datasample: whether to return predictions as data elements instead of plain values.
            **kwargs: arguments listed in ``postprocess_kwargs``.
        """

    @abstractmethod
    def _init_pipeline(self, cfg: Config) -> Callable[[Any], Any]:
        """Builds the function that prepares an input, usually from ``cfg.test_dataloader.dataset.pipeline``."""

    def _init_model(self, cfg: Config, weights: str | None, device: str = "cpu") -> nn.Module:
        """Builds the config's model, loads the weights, and returns the model in evaluation mode on a device."""
        model = model_of_config({key: cfg.get(key) for key in ("model", "loss", "data_preprocessor")})
        checkpoint = None
        if weights is not None:
            checkpoint = CheckpointLoader.load_checkpoint(weights, map_location="cpu")
        self._load_weights_to_model(model, checkpoint, cfg)
        # Synchronised batch normalisation needs a process group, which inference in a single process does not have. It
        # is replaced by ordinary batch normalisation.
        return revert_sync_batchnorm(model).to(device).eval()

    def _load_weights_to_model(
        self, model: nn.Module, checkpoint: dict[str, Any] | None, cfg: Config | ConfigDict | None
    ) -> None:
        """Loads the weights of a checkpoint into the model; without a checkpoint, calls its ``init_weights``."""
        if checkpoint is not None:
            _load_checkpoint_to_model(model, checkpoint)
            return
        logger.warning("%s has no checkpoint: its weights are random", type(model).__name__)
        if hasattr(model, "init_weights"):
            model.init_weights()  # type: ignore[operator]  # a method of BaseModule

    def _load_model_from_metafile(self, model: str) -> tuple[Config, str | None]:
        """Returns the config, and the path or URL of the checkpoint, of a published model.

        The inferencers of libraries override this method to accept further names.

        Args:
            model: name of the model.
        """
        return published(model, self.scope)

    def _init_collate(self, cfg: Config) -> Callable[[Sequence[Any]], Any]:
        """Returns the function that collates prepared inputs to a batch.

        This is ``test_dataloader.collate_fn`` of the config: a name, a callable, or a dict with ``type`` and further
        arguments. If the config does not set it, the function is `pseudo_collate`.
        """
        from functools import partial

        dataloader = cfg.get("test_dataloader")
        # With several datasets `test_dataloader` may be a list, which has no single collate function.
        if not isinstance(dataloader, Mapping) or dataloader.get("collate_fn") is None:
            return pseudo_collate
        function: Any = dataloader["collate_fn"]
        arguments: dict[str, Any] = {}
        if isinstance(function, Mapping):
            arguments = dict(function)
            function = arguments.pop("type")
        if isinstance(function, str):
            function = FUNCTIONS.get(function)
        if arguments:
            return partial(function, **arguments)
        return function  # type: ignore[no-any-return]  # FUNCTIONS holds functions

    def _init_visualizer(self, cfg: Config) -> Visualizer | None:
        """Builds the visualizer of the config; returns None if the config has no visualizer.

        Its name is unique, so that two inferencers do not share a visualizer.
        """
        if cfg.get("visualizer") is None:
            return None
        arguments = dict(cfg.visualizer)
        arguments["name"] = f"{arguments.get('name', 'inferencer')}-{uuid.uuid4().hex[:8]}"
        visualizer: Visualizer = VISUALIZERS.build(arguments)
        return visualizer

    def _inputs_to_list(self, inputs: InputsType) -> list[Any]:
        """Converts the argument of a call to a list of inputs; a directory is replaced by the paths of its files."""
        return as_list(inputs)

    def _prepare(self, item: Any) -> Any:
        """Passes an input through the pipeline, and returns the result.

        Raises:
            InputError: the pipeline returns None for the input.
        """
        try:
            prepared = self.pipeline(item)
        except Exception as error:
            # The note that is added to the exception says which of many inputs caused the error.
            name = type(item).__name__
            if isinstance(item, str):
                name = item
            add_note(error, f"while preparing the input {name}")
            raise
        if prepared is None:
            raise InputError(item, "the pipeline gives nothing for it")
        return prepared

    def _get_chunk_data(self, inputs: Iterable[Any], chunk_size: int) -> Iterator[Sequence[Any]]:
        """Splits the inputs into lists of `chunk_size` items; the last list may be shorter."""
        return in_chunks(inputs, chunk_size)

    def _dispatch_kwargs(self, **kwargs: Any) -> tuple[dict[str, Any], ...]:
        """Distributes the keyword arguments of a call to the four steps (preprocess, forward, visualize, postprocess).

        Raises:
            ValueError: no step takes one of the arguments.
        """
        names = [getattr(self, f"{step}_kwargs") for step in _STEPS]
        unknown = set(kwargs) - set().union(*names)
        if unknown:
            known = sorted(set().union(*names))
            raise ValueError(
                f"{type(self).__name__} takes no {', '.join(sorted(unknown))}; it takes {', '.join(known) or 'none'}"
            )
        return tuple({name: value for name, value in kwargs.items() if name in mine} for mine in names)

    def _with_progress(self, batches: Iterable[Any], total: int) -> Iterable[Any]:
        if not self.show_progress:
            return batches
        from eng.logging.progress import track

        return track(batches, "inference", total)

    @staticmethod
    def list_models(scope: str | None = None, patterns: str = r".*") -> list[str]:
        """Returns the names of the models that a library publishes.

        Args:
            scope: the library; None (default) is the current default scope.
            patterns: a regular expression that must match the beginning of a name.

        Raises:
            ValueError: no scope is given, and there is no current default scope.
        """
        chosen = scope or _current_scope()
        if chosen == "eng":
            raise ValueError("name a library, as in list_models('mmpretrain'): eng itself publishes no models")
        return [entry.name for entry in list_model_entries(chosen) if re.match(patterns, entry.name)]


def _is_module_class(target: Any) -> bool:
    return isinstance(target, type) and issubclass(target, nn.Module)


def _current_scope() -> str:
    current = DefaultScope.get_current_instance()
    if current is None:
        return "eng"
    return str(current.scope_name)


def _check_device(name: str) -> torch.device:
    """Returns a device after checking that a tensor can be created on it.

    Raises:
        ValueError: no device of this name is available.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # Which of these exceptions torch raises for a missing device depends on the device and on torch's build.
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {name!r} cannot be used here: {reason}. {get_device()!r} can, the default") from error
    return device
