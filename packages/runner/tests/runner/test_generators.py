"""Generators of loaders: what is told of those that two loaders share."""

from __future__ import annotations

import logging

import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from eng.runner.loops._generators import warn_of_shared_generators

DATA = TensorDataset(torch.arange(4))


def shuffled(generator: torch.Generator | None) -> DataLoader:
    return DataLoader(DATA, batch_size=2, sampler=RandomSampler(DATA, generator=generator))


def test_a_generator_that_orders_both_loaders_is_told(caplog: pytest.LogCaptureFixture) -> None:
    generator = torch.Generator()
    with caplog.at_level(logging.WARNING):
        warn_of_shared_generators(shuffled(generator), shuffled(generator))
    assert "train_dataloader.sampler and val_dataloader.sampler draw from one" in caplog.text


@pytest.mark.parametrize(
    "validation",
    [None, [1, 2], shuffled(torch.Generator()), shuffled(None)],
    ids=["no validation", "batches", "its own", "none given"],
)
def test_generators_of_their_own_are_fine(validation: object, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_shared_generators(shuffled(torch.Generator()), validation)
    assert not caplog.records
