from __future__ import annotations

import itertools

import pytest
import torch
from dataset_workers import Numbers

from eng.dataset import DefaultSampler, InfiniteSampler
from eng.dataset import sampler as module


class OnlyLength:
    """A dataset that may not be read."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        raise AssertionError("a sampler read a sample")


@pytest.fixture
def ranks(monkeypatch):
    """Samplers of all ranks of a world of any size."""

    def make(world, build):
        made = []
        for rank in range(world):
            monkeypatch.setattr(module, "get_dist_info", lambda rank=rank: (rank, world))
            made.append(build())
        return made

    return make


def interleaved(columns):
    """The global order of the ranks' orders."""
    return [index for row in itertools.zip_longest(*columns) for index in row if index is not None]


def permutation(length, seed):
    return torch.randperm(length, generator=torch.Generator().manual_seed(seed)).tolist()


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("length", [1, 5, 12, 20])
def test_shards_are_complete_and_padded_with_the_first_samples(ranks, world, length):
    samplers = ranks(world, lambda: DefaultSampler(OnlyLength(length), seed=3))
    orders = [list(sampler) for sampler in samplers]
    rounds = -(-length // world)
    expected = permutation(length, 3)
    whole = (expected * (rounds * world // length + 1))[: rounds * world]
    assert interleaved(orders) == whole
    assert [len(order) for order in orders] == [len(sampler) for sampler in samplers] == [rounds] * world


@pytest.mark.parametrize("world", [1, 2, 3])
def test_shards_without_rounding_up_are_disjoint_and_complete(ranks, world):
    samplers = ranks(world, lambda: DefaultSampler(OnlyLength(10), seed=0, round_up=False))
    orders = [list(sampler) for sampler in samplers]
    assert interleaved(orders) == permutation(10, 0)
    assert [len(order) for order in orders] == [len(sampler) for sampler in samplers]


def test_order_is_that_of_the_reference_for_seed_and_epoch():
    sampler = DefaultSampler(OnlyLength(9), seed=5)
    for epoch in (0, 1, 4):
        sampler.set_epoch(epoch)
        assert list(sampler) == permutation(9, 5 + epoch)


def test_no_shuffle_keeps_the_order():
    assert list(DefaultSampler(OnlyLength(4), shuffle=False)) == [0, 1, 2, 3]


@pytest.mark.parametrize(("before", "after"), [(1, 2), (4, 2), (2, 3), (3, 1)])
@pytest.mark.parametrize("drawn", [0, 2, 4])
def test_another_number_of_ranks_continues_the_same_global_order(ranks, before, after, drawn):
    first = ranks(before, lambda: DefaultSampler(OnlyLength(24), seed=1))
    columns = []
    for sampler in first:
        sampler.set_epoch(2)
        columns.append(list(itertools.islice(sampler, drawn)))
    state = {**first[0].state_dict(), "position": drawn * before}
    second = ranks(after, lambda: DefaultSampler(OnlyLength(24), seed=9))
    for sampler in second:
        sampler.load_state_dict(state)
    rest = interleaved([list(sampler) for sampler in second])
    whole = permutation(24, 3)
    assert (interleaved(columns) + rest)[:24] == whole
    assert len(rest) >= 24 - drawn * before


def test_state_follows_what_was_drawn():
    sampler = DefaultSampler(OnlyLength(6), seed=2)
    sampler.set_epoch(1)
    iterator = iter(sampler)
    head = [next(iterator) for _ in range(4)]
    assert sampler.state_dict() == {"seed": 2, "epoch": 1, "position": 4}
    other = DefaultSampler(OnlyLength(6), seed=0)
    other.load_state_dict(sampler.state_dict())
    other.set_epoch(1)  # what a loop does before each epoch; the same epoch stays entered
    assert head + list(other) == permutation(6, 3)
    assert list(other) == permutation(6, 3)  # the next iteration is whole again


def test_entering_another_epoch_starts_it_at_its_beginning():
    sampler = DefaultSampler(OnlyLength(6), seed=2)
    sampler.seek(5)
    sampler.set_epoch(1)
    assert list(sampler) == permutation(6, 3)


def test_seek_beyond_the_end_leaves_nothing():
    sampler = DefaultSampler(OnlyLength(6), seed=2)
    sampler.seek(6)
    assert list(sampler) == []


@pytest.mark.parametrize("cls", [DefaultSampler, InfiniteSampler])
def test_bad_positions_and_states_are_named(cls):
    sampler = cls(OnlyLength(3), seed=0)
    with pytest.raises(ValueError, match="position 0 or more, got -1"):
        sampler.seek(-1)
    with pytest.raises(KeyError, match=r"lacks .*position"):
        sampler.load_state_dict({"seed": 0, "epoch": 0})


@pytest.mark.parametrize("world", [1, 2, 5, 9])
def test_infinite_ranks_take_turns_in_one_sequence(ranks, world):
    samplers = ranks(world, lambda: InfiniteSampler(OnlyLength(4), seed=0))
    rounds = 8
    columns = [list(itertools.islice(sampler, rounds)) for sampler in samplers]
    whole = [index for number in range(rounds * world // 4 + 1) for index in permutation(4, number)]
    assert interleaved(columns) == whole[: rounds * world]


@pytest.mark.parametrize("shuffle", [True, False])
def test_infinite_sampler_seeks_and_iterates_again(shuffle):
    sampler = InfiniteSampler(OnlyLength(7), shuffle=shuffle, seed=0)
    order = list(itertools.islice(sampler, 40))
    assert list(itertools.islice(sampler, 40)) == order
    sampler.seek(23)
    iterator = iter(sampler)
    assert [next(iterator) for _ in range(10)] == order[23:33]
    assert sampler.state_dict() == {"seed": 0, "epoch": 0, "position": 33}
    assert len(sampler) == 7


def test_infinite_sampler_reaches_a_far_position_at_once():
    sampler = InfiniteSampler(OnlyLength(10), seed=0)
    sampler.seek(10**15)
    assert next(iter(sampler)) == permutation(10, 10**14)[0]


def test_infinite_sampler_refuses_an_empty_dataset():
    with pytest.raises(ValueError, match="empty dataset"):
        InfiniteSampler(OnlyLength(0))


def test_seed_is_agreed_on_when_none_is_given():
    sampler = DefaultSampler(Numbers(30))
    assert list(sampler) == list(DefaultSampler(Numbers(30), seed=sampler.state_dict()["seed"]))
