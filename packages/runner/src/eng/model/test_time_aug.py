"""Test-time augmentation: predict each version of a sample, then merge."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from eng.registry import MODELS

from .base_model import BaseModel
from .errors import BatchTypeError, ModelTypeError


@MODELS.register_module()
class BaseTTAModel(BaseModel, metaclass=ABCMeta):
    """Wraps a model; a subclass says in :meth:`merge_preds` how the predictions for one sample become one.

    Args:
        module: the model, or its config; it needs ``test_step``.
        data_preprocessor: the data preprocessor of ``module``, where that is a config: the Runner gives it here.

    Raises:
        TypeError: ``module`` is neither, or has no ``test_step``.
    """

    weights_in_module = True  # a checkpoint of the wrapped model is loaded into it, see eng.checkpoint.unwrap

    def __init__(self, module: Any, data_preprocessor: Any = None) -> None:
        super().__init__()
        if isinstance(module, Mapping):
            if data_preprocessor is not None:
                # The class of the module may know the type of a data preprocessor that does not name one.
                module = {**module, "data_preprocessor": data_preprocessor}
            module = MODELS.build(module)
        if not isinstance(module, nn.Module):
            raise TypeError(f"module must be a config or a module, got {type(module).__name__}")
        if not callable(getattr(module, "test_step", None)):
            raise ModelTypeError(f"{type(module).__name__} has no test_step(), which test-time augmentation calls")
        self.module: Any = module

    @abstractmethod
    def merge_preds(self, data_samples_list: list[list[Any]]) -> list[Any]:
        """One prediction for each sample of a batch.

        Args:
            data_samples_list: for each sample of the batch, its predictions, one for each augmentation.
        """

    @torch.no_grad()
    def test_step(self, data: Any) -> Any:
        """The merged predictions.

        Args:
            data: a batch in which every value holds one batch per augmentation, as ``TestTimeAug`` and
                ``pseudo_collate`` give it.

        Raises:
            BatchTypeError: the batch is of another type (a TypeError).
        """
        predictions = [self.module.test_step(part) for part in _augmentations(data)]
        return self.merge_preds(list(zip(*predictions, strict=True)))  # type: ignore[arg-type]  # tuples will do

    def forward(self, inputs: Any, data_samples: list[Any] | None = None, mode: str = "tensor") -> Any:
        """Always an error: a model for test-time augmentation has only :meth:`test_step`.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"{type(self).__name__} predicts through test_step(); its forward() will not be called"
        )


def _augmentations(data: Any) -> list[Any]:
    if isinstance(data, Mapping) and data:
        count = len(next(iter(data.values())))
        return [{key: value[index] for key, value in data.items()} for index in range(count)]
    if isinstance(data, (tuple, list)) and data:
        return [[value[index] for value in data] for index in range(len(data[0]))]
    raise BatchTypeError(
        f"test-time augmentation takes a batch that is a dict, a tuple or a list, and not empty; got {type(data).__name__}"
    )
