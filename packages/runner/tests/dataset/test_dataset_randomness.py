from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from dataset_workers import Noise, Numbers, Plain
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, Sampler

from eng.dataset import (
    ConcatDataset,
    DefaultSampler,
    InfiniteSampler,
    RepeatDataset,
    pseudo_collate,
    reproducible_loader_parts,
)
from eng.dataset._randomness import KeyedIndex, sample_seed


def loader(dataset, sampler=None, seed=0, **kwargs):
    sampler = DefaultSampler(dataset, seed=seed) if sampler is None else sampler
    dataset, sampler, _ = reproducible_loader_parts(dataset, sampler, seed=seed)
    return DataLoader(
        dataset, batch_size=kwargs.pop("batch_size", 4), sampler=sampler, collate_fn=pseudo_collate, **kwargs
    )


def draws(batches):
    """Sample number -> what was drawn for it."""
    found = {}
    for batch in batches:
        for place, index in enumerate(batch["index"]):
            found[int(index)] = [column[place] for column in batch["draws"]]
    return found


def numbers(**kwargs):
    return Numbers(12, pipeline=[Noise()], **kwargs)


CASES = {
    "base-2-fork": (numbers, 2, "fork"),
    "base-3-fork": (numbers, 3, "fork"),
    "base-2-spawn": (numbers, 2, "spawn"),
    "plain-2-fork": (Plain, 2, "fork"),
    "plain-2-spawn": (Plain, 2, "spawn"),
    "repeat-2-fork": (lambda: RepeatDataset(numbers(), 2), 2, "fork"),
    "concat-2-fork": (lambda: ConcatDataset([numbers()]), 2, "fork"),
}


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize(("make", "workers", "method"), CASES.values(), ids=CASES)
def test_any_number_of_workers_gives_the_same_batches(make, workers, method):
    assert list(loader(make())) == list(loader(make(), num_workers=workers, multiprocessing_context=method))


def test_numbers_depend_on_seed_epoch_and_sample_only():
    base = loader(numbers())
    first = draws(base)
    assert draws(base) == first
    assert draws(loader(numbers(), batch_size=5, sampler=DefaultSampler(range(12), shuffle=False, seed=0))) == first
    base.sampler.set_epoch(1)
    second = draws(base)
    assert all(second[index] != first[index] for index in first)
    other = draws(loader(numbers(), seed=1))
    assert all(other[index] != first[index] for index in first)
    flat = [value for row in first.values() for value in row]
    assert len(set(flat)) == len(flat)


def test_persistent_workers_follow_the_epoch():
    kept = loader(numbers(), num_workers=2, persistent_workers=True)
    fresh = loader(numbers())
    for epoch in range(3):
        kept.sampler.set_epoch(epoch)
        fresh.sampler.set_epoch(epoch)
        assert list(kept) == list(fresh)


def test_resumed_run_gives_the_same_samples():
    whole = loader(numbers())
    batches = list(whole)
    whole.sampler.seek(8)
    assert list(whole) == batches[2:]


@pytest.mark.parametrize("position", [0, 7, 30])
def test_passes_of_an_infinite_sampler_differ_and_are_sought(position):
    sampler = InfiniteSampler(range(12), seed=0)
    endless = iter(loader(numbers(), sampler=sampler, batch_size=1))
    batches = [next(endless) for _ in range(40)]
    sampler.seek(position)
    again = iter(loader(numbers(), sampler=sampler, batch_size=1))
    assert [next(again) for _ in range(5)] == batches[position : position + 5]
    assert draws(batches[:12])[0] != draws(batches[12:24])[0]


def test_generators_of_the_model_are_not_touched():
    def begin():
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        random.gauss(0, 1), np.random.randn(), torch.randn(1)  # each keeps a second number for the next call

    def go_on():
        return random.gauss(0, 1), np.random.randn(), np.random.rand(), torch.randn(3).tolist()

    begin()
    expected = go_on()
    begin()
    numbers_ = numbers()
    dataset, _, _ = reproducible_loader_parts(numbers_, DefaultSampler(numbers_, seed=0), seed=0)
    dataset.__getitems__([KeyedIndex.of(3, 0, 0), KeyedIndex.of(4, 0, 0)])
    assert go_on() == expected


def drawing_collate(samples):
    """Draws as a mixture of the samples of a batch would."""
    return [sample["index"] for sample in samples], random.random(), np.random.rand(), torch.rand(1).item()


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_a_collate_function_in_a_worker_does_not_depend_on_the_worker():
    def batches(workers):
        dataset, sampler, _ = reproducible_loader_parts(numbers(), DefaultSampler(range(12), seed=0), seed=0)
        return list(DataLoader(dataset, 4, sampler=sampler, num_workers=workers, collate_fn=drawing_collate))

    assert batches(1) == batches(2) == batches(3)


def test_an_error_in_a_transform_leaves_the_generators_alone():
    def fail(data):
        raise RuntimeError("broken transform")

    dataset = Numbers(3, pipeline=[fail])
    state = random.getstate()
    with pytest.raises(RuntimeError, match="broken transform"):
        dataset.__getitems__([KeyedIndex.of(0, 0, 0)])
    assert random.getstate() == state


class Backwards(Sampler):
    """A sampler of somebody else."""

    def __init__(self, length):
        self.length, self.epoch = length, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(range(self.length - 1, -1, -1))


def test_foreign_samplers_are_keyed_with_their_epoch():
    mine = loader(numbers(), sampler=Backwards(12))
    first = draws(mine)
    assert first == draws(loader(numbers()))
    mine.sampler.set_epoch(1)
    assert draws(mine) != first and len(mine.sampler) == 12


def test_batch_samplers_pass_keys_on():
    dataset, sampler = numbers(), Backwards(12)
    batches = BatchSampler(sampler, 4, False)
    dataset, _, batches = reproducible_loader_parts(dataset, sampler, batches, seed=0)
    assert draws(DataLoader(dataset, batch_sampler=batches, collate_fn=pseudo_collate)) == draws(loader(numbers()))


def test_what_cannot_be_keyed_stays_as_it_is():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(range(3))

    stream = Stream()
    assert reproducible_loader_parts(stream, None) == (stream, None, None)
    dataset = numbers()
    sampler = RandomSampler(dataset)
    assert reproducible_loader_parts(stream, sampler) == (stream, sampler, None)


def test_lists_are_wrapped():
    dataset, sampler, _ = reproducible_loader_parts([1, 2, 3], DefaultSampler(range(3), seed=0))
    assert len(dataset) == 3 and dataset[1] == 2
    assert sorted(int(x) for batch in DataLoader(dataset, sampler=sampler) for x in batch) == [1, 2, 3]


def test_the_visible_parts_stay_what_they_are():
    dataset = numbers()
    sampler = DefaultSampler(dataset, seed=0)
    assert reproducible_loader_parts(dataset, sampler) == (dataset, sampler, None)
    assert [int(index) for index in sampler] == list(DefaultSampler(dataset, seed=0))
    sampler.key_samples(None)
    assert all(type(index) is int for index in sampler)


def test_seeds_spread():
    seeds = {sample_seed(seed, epoch, index) for seed in range(5) for epoch in range(5) for index in range(200)}
    assert len(seeds) == 5000
    assert len({seed & 0xFFFF for seed in seeds}) > 4500
