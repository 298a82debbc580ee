"""Test-time augmentation: predict several augmented versions of each sample, and merge the predictions."""

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
    """Wraps a model for test-time augmentation: predicts several augmented versions of each sample.

    A subclass defines :meth:`merge_preds`, which merges the predictions for the versions of a sample into one.

    Args:
        module: the model that predicts, or the config of the model; the model needs a method ``test_step``.
        data_preprocessor: config of the data preprocessor of ``module``; used only if ``module`` is a config. The
            Runner passes the ``data_preprocessor`` of the run's config.

    Raises:
        TypeError: ``module`` is neither a module nor a config, or has no ``test_step``.
    """

    # eng.checkpoint.unwrap.weights_owner reads this attribute: checkpoints are loaded into the wrapped model.
    weights_in_module = True

    def __init__(self, module: Any, data_preprocessor: Any = None) -> None:
        super().__init__()
        if isinstance(module, Mapping):
            if data_preprocessor is not None:
                # The data preprocessor's config may lack `type`, for which the class of `module` may have a default, so
                # the config is passed to that class instead of being built here.
                module = {**module, "data_preprocessor": data_preprocessor}
            module = MODELS.build(module)
        if not isinstance(module, nn.Module):
            raise TypeError(f"module must be a config or a module, got {type(module).__name__}")
        if not callable(getattr(module, "test_step", None)):
            raise ModelTypeError(f"{type(module).__name__} has no test_step(), which test-time augmentation calls")
        self.module: Any = module

    @abstractmethod
    def merge_preds(self, data_samples_list: list[list[Any]]) -> list[Any]:
        """Merges the predictions for the augmented versions of each sample into one prediction per sample.

        Args:
            data_samples_list: for each sample of the batch a list with the predictions for its augmented versions.
        """

    @torch.no_grad()
    def test_step(self, data: Any) -> Any:
        """Returns the predictions for a batch, with the predictions for all augmented versions of a sample merged.

        Args:
            data: a dict, tuple or list in which every value is a list with one item per augmentation; the items of one
                augmentation form a batch for the wrapped model. The transform ``TestTimeAug`` and ``pseudo_collate``
                produce this format.

        Raises:
            BatchTypeError: the batch is no dict, tuple or list, or is empty (a TypeError).
        """
        predictions = [self.module.test_step(part) for part in _augmentations(data)]
        return self.merge_preds(list(zip(*predictions, strict=True)))  # type: ignore[arg-type]  # tuples, not lists

    def forward(self, inputs: Any, data_samples: list[Any] | None = None, mode: str = "tensor") -> Any:
        """Raises an error: a model for test-time augmentation can only be called by :meth:`test_step`.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"{type(self).__name__} predicts through test_step(); its forward() will not be called"
        )


def _augmentations(data: Any) -> list[Any]:
    """Splits a batch, whose values are lists with one item per augmentation, into one batch per augmentation."""
    if isinstance(data, Mapping) and data:
        count = len(next(iter(data.values())))
        return [{key: value[index] for key, value in data.items()} for index in range(count)]
    if isinstance(data, (tuple, list)) and data:
        return [[value[index] for value in data] for index in range(len(data[0]))]
    raise BatchTypeError(
        f"test-time augmentation takes a batch that is a dict, a tuple or a list, and not empty; got {type(data).__name__}"
    )
