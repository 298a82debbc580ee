"""The steps of every inference: preprocess, forward, visualise, postprocess."""

from __future__ import annotations

import logging
import re
import uuid
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext
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
    """Runs a trained model on paths, directories, URLs, arrays or lists of them.

    A subclass says how one input is prepared (`_init_pipeline`), drawn (`visualize`) and given back (`postprocess`), and
    names in ``preprocess_kwargs``, ``forward_kwargs``, ``visualize_kwargs`` and ``postprocess_kwargs`` which keyword
    arguments of a call belong to which step.

    An inferencer may be shared by threads: a call keeps its state to itself.

    Args:
        model: a config, the path of one, or the name of a model that the library publishes; None takes the config
            that the checkpoint holds, which is read as data and names nothing but what is registered.
        weights: path or URL of a checkpoint. A published model brings its own; without any the weights are random.
        device: such as ``"cuda:0"``; the best one that is there by default.
        scope: library in which names are looked up; the current default scope, or ``"eng"``.
        show_progress: a progress bar on a terminal.
        weight: the manual's name for `weights`.

    Raises:
        ValueError: neither model nor weights; `weights` and `weight` both; a checkpoint without a config; a device that is
            not there.
        KeyError: the library publishes no such model.
        TypeError: one keyword is named by two steps of the class.
    """

    preprocess_kwargs: ClassVar[set[str]] = set()
    forward_kwargs: ClassVar[set[str]] = set()
    visualize_kwargs: ClassVar[set[str]] = set()
    postprocess_kwargs: ClassVar[set[str]] = set()

    def __init_subclass__(cls, **kwargs: Any) -> None:
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
        self.scope = scope or _current_scope()
        self.show_progress = show_progress
        self.device = _usable(device or get_device())
        self._accepts_any_type = model is not None
        with self._scoped():
            wanted = weights if weights is not None else weight
            self.cfg, checkpoint = config_and_weights(model, wanted, self._load_model_from_metafile)
            self.model = self._init_model(self.cfg, checkpoint, str(self.device))
            self.pipeline = self._init_pipeline(self.cfg)
            self.collate_fn = self._init_collate(self.cfg)
            self.visualizer = self._init_visualizer(self.cfg)

    def __call__(
        self, inputs: InputsType, return_datasamples: bool = False, batch_size: int = 1, **kwargs: Any
    ) -> dict[str, Any]:
        """Predictions, and pictures of them, for one input or many.

        Args:
            inputs: a path, a directory (its files), a URL, an array, a tensor, or a sequence of them.
            return_datasamples: give predictions as data elements instead of plain values.
            batch_size: inputs that go through the model together.
            **kwargs: for the steps, as the class's ``*_kwargs`` say.

        Returns:
            what `postprocess` gives: by convention ``predictions`` and ``visualization``, one entry for each input.

        Raises:
            ValueError: no inputs, an argument that no step takes, or a batch size below 1.
        """
        for_preprocess, for_forward, for_visualize, for_postprocess = self._dispatch_kwargs(**kwargs)
        single = self._inputs_to_list(inputs)
        predictions: list[Any] = []
        with self._scoped():
            batches = self.preprocess(single, batch_size=batch_size, **for_preprocess)
            for batch in self._with_progress(batches, total=ceil(len(single) / max(batch_size, 1))):
                predictions.extend(self.forward(batch, **for_forward))
            pictures = self.visualize(single, predictions, **for_visualize)
            return self.postprocess(predictions, pictures, return_datasamples, **for_postprocess)

    @contextmanager
    def _scoped(self) -> Iterator[None]:
        """Within it, names are looked up in the scope of the inferencer.

        The config in a checkpoint may name what is registered, and modules of torch's kind; a config of the user's may
        name anything.
        """
        vetted = nullcontext() if self._accepts_any_type else registered_only(_is_module_class)
        with DefaultScope.overwrite_default_scope(self.scope), vetted:
            yield

    def preprocess(self, inputs: InputsType, batch_size: int = 1, **kwargs: Any) -> Iterator[Any]:
        """Batches of prepared inputs, made when they are asked for.

        Args:
            inputs: single inputs.
            batch_size: how many of them make a batch.
            **kwargs: those named in ``preprocess_kwargs``; the pipeline gets none.

        Yields:
            what the collate function makes of a batch.
        """
        yield from map(self.collate_fn, self._get_chunk_data(map(self._prepared, inputs), batch_size))

    def forward(self, inputs: dict[str, Any] | tuple[Any, ...], **kwargs: Any) -> Any:
        """Predictions of the model for a batch, without gradients."""
        with torch.inference_mode():
            return self.model.test_step(inputs, **kwargs)  # type: ignore[operator]  # a model of eng has it

    @abstractmethod
    def visualize(self, inputs: list[Any], preds: Any, show: bool = False, **kwargs: Any) -> list[np.ndarray] | None:
        """Pictures of the predictions.

        Args:
            inputs: the single inputs as the user gave them.
            preds: their predictions.
            show: open a window for each.
            **kwargs: those named in ``visualize_kwargs``.

        Returns:
            an image for each input, (height, width, 3) uint8; None where there is nothing to show.
        """

    @abstractmethod
    def postprocess(
        self, preds: Any, visualization: list[np.ndarray] | None, return_datasample: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """What the user gets: by convention a dict with ``predictions`` and ``visualization``.

        Args:
            preds: a prediction for each input.
            visualization: what `visualize` gave.
            return_datasample: give predictions as they are, not as plain values.
            **kwargs: those named in ``postprocess_kwargs``.
        """

    @abstractmethod
    def _init_pipeline(self, cfg: Config) -> Callable[[Any], Any]:
        """What prepares one input, usually the transforms of ``cfg.test_dataloader.dataset.pipeline``."""

    def _init_model(self, cfg: Config, weights: str | None, device: str = "cpu") -> nn.Module:
        """The model in evaluation mode on a device, with its weights."""
        model = model_of_config({key: cfg.get(key) for key in ("model", "loss", "data_preprocessor")})
        checkpoint = None if weights is None else CheckpointLoader.load_checkpoint(weights, map_location="cpu")
        self._load_weights_to_model(model, checkpoint, cfg)
        # Batch statistics over ranks exist in training only, and a single process has none to talk to.
        return revert_sync_batchnorm(model).to(device).eval()

    def _load_weights_to_model(
        self, model: nn.Module, checkpoint: dict[str, Any] | None, cfg: Config | ConfigDict | None
    ) -> None:
        """Loads a checkpoint that was read; a model without one is initialised as its config says."""
        if checkpoint is not None:
            _load_checkpoint_to_model(model, checkpoint)
            return
        logger.warning("%s has no checkpoint: its weights are random", type(model).__name__)
        if hasattr(model, "init_weights"):
            model.init_weights()  # type: ignore[operator]  # BaseModule's

    def _load_model_from_metafile(self, model: str) -> tuple[Config, str | None]:
        """Config and weights of a published model; libraries override it to know more names."""
        return published(model, self.scope)

    def _init_collate(self, cfg: Config) -> Callable[[Sequence[Any]], Any]:
        """What makes a batch of prepared inputs: ``test_dataloader.collate_fn``, by name or with arguments.

        `pseudo_collate` where there is none: without test_dataloader, or with a list of them for several data sets.
        """
        from functools import partial

        dataloader = cfg.get("test_dataloader")
        collate = dataloader.get("collate_fn") if isinstance(dataloader, Mapping) else None
        if collate is None:
            return pseudo_collate
        arguments = {"type": collate} if not isinstance(collate, Mapping) else dict(collate)
        function = arguments.pop("type")
        collate_function: Any = FUNCTIONS.get(function) if isinstance(function, str) else function
        return partial(collate_function, **arguments) if arguments else collate_function

    def _init_visualizer(self, cfg: Config) -> Visualizer | None:
        """The visualizer of the config, under a name of its own; None where there is none."""
        if cfg.get("visualizer") is None:
            return None
        arguments = dict(cfg.visualizer)
        arguments["name"] = f"{arguments.get('name', 'inferencer')}-{uuid.uuid4().hex[:8]}"
        visualizer: Visualizer = VISUALIZERS.build(arguments)
        return visualizer

    def _inputs_to_list(self, inputs: InputsType) -> list[Any]:
        """Single inputs; a directory stands for its files."""
        return as_list(inputs)

    def _prepared(self, item: Any) -> Any:
        """One input after the pipeline.

        Raises:
            InputError: the pipeline gives None for it.
        """
        try:
            prepared = self.pipeline(item)
        except Exception as error:
            # Which of a thousand files was it?
            add_note(error, f"while preparing the input {item if isinstance(item, str) else type(item).__name__}")
            raise
        if prepared is None:
            raise InputError(item, "the pipeline gives nothing for it")
        return prepared

    def _get_chunk_data(self, inputs: Iterable[Any], chunk_size: int) -> Iterator[Sequence[Any]]:
        """Items in lists of `chunk_size`, the last one shorter."""
        return in_chunks(inputs, chunk_size)

    def _dispatch_kwargs(self, **kwargs: Any) -> tuple[dict[str, Any], ...]:
        """The keyword arguments of each step.

        Raises:
            ValueError: no step takes one of them.
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
        """Names of the models that a library publishes.

        Args:
            scope: the library; the current default scope by default.
            patterns: regular expression that a name must match from its beginning.

        Raises:
            ValueError: no scope is given and none is current.
        """
        chosen = scope or _current_scope()
        if chosen == "eng":
            raise ValueError("name a library, as in list_models('mmpretrain'): eng itself publishes no models")
        return [entry.name for entry in list_model_entries(chosen) if re.match(patterns, entry.name)]


def _is_module_class(target: Any) -> bool:
    return isinstance(target, type) and issubclass(target, nn.Module)


def _current_scope() -> str:
    current = DefaultScope.get_current_instance()
    return "eng" if current is None else str(current.scope_name)


def _usable(name: str) -> torch.device:
    """A device that tensors can be put on here.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch says it in any of these ways
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {name!r} cannot be used here: {reason}. {get_device()!r} can, the default") from error
    return device
