from __future__ import annotations

import random
import warnings
from collections import defaultdict, namedtuple

import numpy as np
import pytest
import torch

from eng.dataset import COLLATE_FUNCTIONS, default_collate, pseudo_collate, worker_init_fn
from eng.registry import FUNCTIONS
from eng.structures import BaseDataElement

Point = namedtuple("Point", "x y")


def test_pseudo_collate_groups_without_stacking():
    a, b = torch.ones(2), torch.ones(3)
    samples = [{"img": a, "meta": ("n1", [1, 2])}, {"img": b, "meta": ("n2", [3, 4])}]
    out = pseudo_collate(samples)
    assert out["img"][0] is a and out["img"][1] is b
    assert out["meta"] == [("n1", "n2"), [(1, 3), (2, 4)]]


def test_default_collate_stacks():
    out = default_collate([(torch.ones(2), 1, "a"), (torch.zeros(2), 2, "b")])
    assert out[0].tolist() == [[1, 1], [0, 0]] and out[1].tolist() == [1, 2] and out[2] == ("a", "b")
    assert default_collate([np.float32(1), np.float32(2)]).dtype == torch.float32
    assert default_collate([{"a": [1, 2]}, {"a": [3, 4]}])["a"][1].tolist() == [2, 4]


@pytest.mark.parametrize("collate", [pseudo_collate, default_collate])
def test_collate_keeps_named_tuples_strings_and_elements(collate):
    out = collate([Point(1, "a"), Point(2, "b")])
    assert isinstance(out, Point) and list(out.x) == [1, 2] and out.y == ("a", "b")
    elements = [BaseDataElement(), BaseDataElement()]
    assert collate(elements) == elements


# Batches, and what MMEngine 0.10.7 makes of them by pseudo_collate and by default_collate; T is torch.tensor.
T = torch.tensor
COLLATED = [
    ([{"b": [1, 2]}, {"b": [3, 4]}], {"b": [(1, 3), (2, 4)]}, {"b": [T([1, 3]), T([2, 4])]}),
    ([(1, 2), (3, 4)], [(1, 3), (2, 4)], [T([1, 3]), T([2, 4])]),
    ([Point(1, 2), Point(3, 4)], Point((1, 3), (2, 4)), Point(T([1, 3]), T([2, 4]))),
    ([["a", 1], ["b", 2]], [("a", "b"), (1, 2)], [("a", "b"), T([1, 2])]),
    ([[["a"], 1], [["b"], 2]], [[("a", "b")], (1, 2)], [[("a", "b")], T([1, 2])]),
    ([{"x": ("a", 1)}, {"x": ("b", 2)}], {"x": [("a", "b"), (1, 2)]}, {"x": [("a", "b"), T([1, 2])]}),
    (["a", "b"], ["a", "b"], ["a", "b"]),
    ([b"a", b"b"], [b"a", b"b"], [b"a", b"b"]),
    ([[Point("a", 1)], [Point("b", 2)]], [Point(("a", "b"), (1, 2))], [Point(("a", "b"), T([1, 2]))]),
    ([range(2), range(2)], [(0, 0), (1, 1)], [T([0, 0]), T([1, 1])]),
    ([([1, 2],), ([3, 4],)], [[(1, 3), (2, 4)]], [[T([1, 3]), T([2, 4])]]),
]


@pytest.mark.parametrize(("batch", "pseudo", "default"), COLLATED)
def test_nested_batches_are_those_of_the_reference(batch, pseudo, default):
    assert repr(pseudo_collate(batch)) == repr(pseudo)
    assert repr(default_collate(batch)) == repr(default)


@pytest.mark.parametrize("collate", [pseudo_collate, default_collate])
def test_defaultdict_stays_one(collate):
    samples = [defaultdict(list, x=1), defaultdict(list, x=2)]
    batch = collate(samples)
    assert list(batch["x"]) == [1, 2]
    assert batch["new"] == [] and samples[0] == {"x": 1}


@pytest.mark.parametrize("collate", [pseudo_collate, default_collate])
def test_sequences_of_different_lengths_are_an_error(collate):
    with pytest.raises(RuntimeError, match="equally long, got lengths \\[1, 2\\]"):
        collate([[1], [1, 2]])


@pytest.mark.parametrize("collate", [pseudo_collate, default_collate])
def test_samples_with_other_keys_are_named(collate):
    with pytest.raises(KeyError, match=r"sample 1 of the batch has no 'label', which sample 0 has; it has \['img'\]"):
        collate([{"img": 1, "label": 2}, {"img": 1}])
    with pytest.raises(KeyError, match=r"sample 1 of the batch has no 'box'"):
        collate([{"img": {"box": 1}}, {"img": {}}])


@pytest.mark.parametrize("collate", [pseudo_collate, default_collate])
def test_an_empty_batch_is_an_error(collate):
    with pytest.raises(ValueError, match="one sample at least"):
        collate([])


def test_worker_seed_differs_by_rank_and_worker(monkeypatch):
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seen = set()
    for rank in range(2):
        for worker in range(2):
            worker_init_fn(worker, num_workers=2, rank=rank, seed=7)
            seen.add((random.random(), float(np.random.rand()), float(torch.rand(()))))
    worker_init_fn(1, num_workers=2, rank=1, seed=7)
    assert len(seen) == 4 and (random.random(), float(np.random.rand()), float(torch.rand(()))) in seen
    random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])


def test_warnings_of_all_workers_but_the_first_can_be_silenced():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        worker_init_fn(0, 2, 0, 0, disable_subprocess_warning=True)
        warnings.warn("first", stacklevel=1)
        worker_init_fn(1, 2, 0, 0, disable_subprocess_warning=True)
        warnings.warn("second", stacklevel=1)
    assert [str(item.message) for item in caught] == ["first"]


def test_functions_are_found_by_name():
    assert FUNCTIONS.get("pseudo_collate") is pseudo_collate and FUNCTIONS.get("default_collate") is default_collate
    assert FUNCTIONS.get("default_worker_init_fn") is worker_init_fn and COLLATE_FUNCTIONS is FUNCTIONS
