"""Recomputes the BatchNorm statistics of an averaged model from training batches."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from eng.dataset._loader_parts import batch_size_of
from eng.logging.errors import UsageError
from eng.model._steps import free_gathered


def spread_batches(loader: Any, count: int) -> Iterator[Any]:
    """Returns an iterator over ``count`` batches whose samples are evenly spread over the dataset of ``loader``.

    Each rank gets the same batches. The calling process loads them itself, without worker processes. If the dataset has
    too few samples for ``count`` batches, all its samples are read once.

    Raises:
        ValueError: the dataset has no length.
    """
    dataset = loader.dataset
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise UsageError(
            f"EMAHook(bn_batches={count}) needs a training dataset with a length, got {type(dataset).__name__}"
        )
    size = batch_size_of(loader) or 1
    wanted = min(count * size, len(dataset))
    indices = [position * len(dataset) // wanted for position in range(wanted)]
    return iter(DataLoader(Subset(dataset, indices), batch_size=size, collate_fn=loader.collate_fn))


def update_bn(model: Any, batches: Iterable[Any]) -> None:
    """Recomputes the running mean and variance of a model's BatchNorm layers, as the plain mean over ``batches``.

    A model without BatchNorm layers that track running statistics is left unchanged, and no batch is read.

    Args:
        model: a model with a ``data_preprocessor`` and a forward with ``mode="tensor"``. Afterwards each module is in
            training or evaluation mode as before.
        batches: batches as the dataloader returns them.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001
    norms = [module for module in norms if module.track_running_stats]
    if not norms:
        return
    momenta = [module.momentum for module in norms]
    modes = [(module, module.training) for module in model.modules()]
    for module in norms:
        module.reset_running_stats()
        # Without a momentum, BatchNorm computes the plain mean over all batches instead of an exponential average.
        module.momentum = None
    with torch.no_grad(), _preserve_random_state():
        model.train()
        for batch in batches:
            model._run_forward(model.data_preprocessor(batch, False), mode="tensor")  # noqa: SLF001  # Part of BaseModel's interface.
            free_gathered(model)
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum
    for module, training in modes:
        module.training = training


@contextmanager
def _preserve_random_state() -> Iterator[None]:
    """Restores the states of Python's, numpy's and torch's random number generators after the ``with`` block.

    Training then draws the same random numbers as if the block had not run.
    """
    states = random.getstate(), np.random.get_state()  # noqa: NPY002  # Data transforms draw from numpy's global generator.
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
