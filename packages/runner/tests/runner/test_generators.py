"""Generators of loaders and datasets: what a resume restores, and what is told of those that it cannot."""

from __future__ import annotations

import logging
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, RandomSampler, Subset, TensorDataset

from eng.runner import Runner
from eng.runner.loops._generators import (
    capture_dataset_generators,
    capture_generators,
    restore_generators,
    warn_of_shared_generators,
    warn_of_worker_generators,
)

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


class Noisy:
    """Samples with noise that each draws from a generator of the dataset's own."""

    def __init__(self, generator):
        self.transform = SimpleNamespace(generator=generator)

    def __len__(self):
        return 12

    def __getitem__(self, index):
        generator = self.transform.generator
        if isinstance(generator, torch.Generator):
            return torch.rand(2, generator=generator)
        return torch.full((2,), float(generator.random()))


OWN = {
    "numpy": lambda: np.random.default_rng(0),
    "python": lambda: random.Random(0),
    "torch": lambda: torch.Generator().manual_seed(0),
}


def weights_after(work_dir, epochs: int, loader: DataLoader, stop_at: int | None = None, **kwargs) -> torch.Tensor:
    torch.manual_seed(0)
    runner = Runner(
        nn.Linear(2, 1), str(work_dir), loss=lambda output: output.square().mean(), train_dataloader=loader,
        train_cfg=dict(max_epochs=epochs), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=stop_at or 100)),
        log_level="WARNING", randomness=dict(seed=0), **kwargs,
    )  # fmt: skip
    runner.train()
    return runner.model.network.weight.detach()


@pytest.mark.parametrize("make", OWN.values(), ids=OWN)
def test_a_resume_inside_a_pass_goes_on_with_the_generator_of_the_dataset(make, tmp_path) -> None:
    def loader() -> DataLoader:
        return DataLoader(Subset(Noisy(make()), range(12)), batch_size=3, shuffle=True)

    straight = weights_after(tmp_path / "a", 3, loader())
    weights_after(tmp_path / "b", 2, loader(), stop_at=5)
    (tmp_path / "b/last_checkpoint").unlink()
    for path in (tmp_path / "b").glob("*.pth"):
        if path.name != "iter_5.pth":
            path.unlink()
    resumed = weights_after(tmp_path / "b", 3, loader(), resume=True)
    assert torch.equal(straight, resumed)


def test_a_generator_that_is_copied_into_workers_is_told(caplog) -> None:
    with caplog.at_level(logging.WARNING, logger="eng"):
        warn_of_worker_generators(DataLoader(Noisy(random.Random(0)), num_workers=0))
        warn_of_worker_generators(DataLoader([torch.ones(1)], num_workers=1))
        assert caplog.messages == []
        warn_of_worker_generators(DataLoader(Noisy(random.Random(0)), num_workers=1))
    assert caplog.messages[0].startswith("SimpleNamespace of the training data has a random generator of its own")


class Sample:
    """Tells that somebody looked into it."""

    looks = 0

    def __getattribute__(self, name):
        if name == "__dict__":
            Sample.looks += 1
        return super().__getattribute__(name)


def test_samples_of_lists_are_not_searched() -> None:
    samples = [Sample() for _ in range(20)]
    noisy = Noisy(random.Random(0))
    lists = [samples, samples, [samples]]
    datasets = [*(Subset(part, [0]) for part in lists), noisy, SimpleNamespace(pipeline=[Sample()] * 20_000)]
    dataset = SimpleNamespace(datasets=[*datasets, ConcatDataset(lists)])
    Sample.looks = 0
    states = capture_dataset_generators(DataLoader(dataset))
    assert list(states) == ["dataset.datasets.3.transform"]
    expected = random.Random(0).random()
    assert noisy.transform.generator.random() == expected
    restore_generators(DataLoader(dataset), states)
    assert noisy.transform.generator.random() == expected
    warn_of_worker_generators(DataLoader(dataset, num_workers=1))
    assert Sample.looks == 0


def test_generators_in_lists_of_transforms_are_captured() -> None:
    inner = SimpleNamespace(transforms=[[SimpleNamespace(rng=random.Random(0))]])
    dataset = SimpleNamespace(pipeline=[SimpleNamespace(rng=np.random.default_rng(0))], transform=(inner,))
    paths = list(capture_dataset_generators(DataLoader(dataset)))
    assert paths == ["dataset.pipeline.0", "dataset.transform.0.transforms.0.0"]


def test_a_generator_that_draws_from_the_system_has_no_state(tmp_path) -> None:
    weights_after(tmp_path, 1, DataLoader(Noisy(random.SystemRandom()), batch_size=6))
    with_state = capture_dataset_generators(DataLoader(Noisy(random.Random(0))))
    assert list(with_state) == ["dataset.transform"]
    system = DataLoader(Noisy(random.SystemRandom()))
    assert capture_dataset_generators(system) == {}
    restore_generators(system, with_state)


class CountingSampler:
    """Counts its passes from an attribute of its class, as many samplers do."""

    epoch = 0

    def __iter__(self):
        self.epoch += 1
        return iter(range(4))

    def __len__(self):
        return 4


def test_a_count_that_begins_on_the_class_is_restored() -> None:
    before, after = (DataLoader(DATA, sampler=CountingSampler()) for _ in range(2))
    list(before), list(before)
    restore_generators(after, capture_generators(before))
    assert after.sampler.epoch == 2
