from __future__ import annotations

import math

import numpy as np
import pytest
from dataset_workers import Numbers

from eng.dataset import (
    ClassBalancedDataset,
    ConcatDataset,
    MetainfoMismatchError,
    RepeatDataset,
    UnsupportedSubsetError,
)
from eng.registry import DATASETS


def labels(dataset):
    return [dataset.get_data_info(i)["label"] for i in range(len(dataset))]


def test_concat_gives_one_after_another():
    both = ConcatDataset([Numbers(3), Numbers(2)])
    assert labels(both) == [0, 1, 2, 0, 1]
    assert both[-1]["sample_idx"] == 1 and both[3]["sample_idx"] == 0
    assert both.get_cat_ids(2) == [2]
    assert both._get_ori_dataset_idx(4) == (1, 1)


def test_wrappers_are_built_from_configs():
    DATASETS.register_module(name="NumbersForTest", module=Numbers, force=True)
    built = DATASETS.build(
        {
            "type": "RepeatDataset",
            "times": 2,
            "dataset": {"type": "ConcatDataset", "datasets": [{"type": "NumbersForTest", "length": 2}] * 2},
        }
    )
    assert labels(built) == [0, 1, 0, 1] * 2


@pytest.mark.parametrize(
    "wrap",
    [
        lambda d, **k: ConcatDataset([d], **k),
        lambda d, **k: RepeatDataset(d, 2, **k),
        lambda d, **k: ClassBalancedDataset(d, 0.1, **k),
    ],
    ids=["concat", "repeat", "balanced"],
)
def test_lazy_wrappers_read_at_the_first_use(wrap):
    inner = Numbers(3, lazy_init=True)
    lazy = wrap(inner, lazy_init=True)
    assert not inner._fully_initialized
    assert len(lazy) >= 3 and inner._fully_initialized
    with pytest.warns(UserWarning, match="full_init"):
        assert wrap(Numbers(3, lazy_init=True), lazy_init=True)[1]["label"] == 1
    for method in (lazy.get_subset, lazy.get_subset_):
        with pytest.raises(UnsupportedSubsetError, match="take get_subset"):
            method(1)
    with pytest.raises(IndexError, match="does not exist"):
        lazy[len(lazy)]
    with pytest.raises(TypeError, match="must be a config or a BaseDataset, got list"):
        wrap([1, 2])


def test_metainfo_must_agree_but_for_ignored_keys():
    first, second = (
        Numbers(1, metainfo={"a": np.array([1, 2]), "b": 1}),
        Numbers(1, metainfo={"a": np.array([1, 3]), "b": 1}),
    )
    with pytest.raises(MetainfoMismatchError, match=r"datasets\[1\] and datasets\[0\] differ in metainfo\['a'\]"):
        ConcatDataset([first, second])
    assert ConcatDataset([first, second], ignore_keys="a").metainfo["b"] == 1
    with pytest.raises(ValueError, match=r"metainfo\['c'\]"):
        ConcatDataset([first, Numbers(1, metainfo={"a": np.array([1, 2]), "b": 1, "c": 0})], ignore_keys=["b"])
    with pytest.raises(ValueError, match="one dataset at least"):
        ConcatDataset([])


def test_repeat():
    repeated = RepeatDataset(Numbers(3), times=3)
    assert labels(repeated) == [0, 1, 2] * 3 and repeated[-1]["label"] == 2 and repeated.get_cat_ids(4) == [1]
    for times in (2.0, np.int64(2), np.float32(2)):
        assert labels(RepeatDataset(Numbers(3), times=times)) == [0, 1, 2] * 2
    for times in (0, -1, "2", 1.5, math.nan, math.inf):
        with pytest.raises(ValueError, match="times must be a whole number, 1 or more, got"):
            RepeatDataset(Numbers(3), times=times)


@pytest.mark.parametrize("threshold", [0.01, 0.3, 0.6, 2.0])
def test_class_balance_by_the_formula(threshold):
    class Categories(Numbers):
        sets = [[0], [0], [0, 1], [1, 2], []]

        def get_cat_ids(self, idx):
            return self.sets[idx]

    frequency = {0: 3 / 5, 1: 2 / 5, 2: 1 / 5}
    times = [
        math.ceil(max([1.0, *(math.sqrt(threshold / frequency[c]) for c in categories)]))
        for categories in Categories.sets
    ]
    expected = [index for index, count in enumerate(times) for _ in range(count)]
    dataset = ClassBalancedDataset(Categories(5), threshold)
    assert [dataset[i]["sample_idx"] for i in range(len(dataset))] == expected
