from __future__ import annotations

import doctest
import importlib

import pytest

import eng.dataset

MODULES = [
    "_annotations",
    "_compose",
    "_randomness",
    "_serialize",
    "_shared_array",
    "base_dataset",
    "dataset_wrapper",
    "errors",
    "kfold",
    "sampler",
    "sharded_stream",
    "simple_datasets",
    "transforms",
    "_torchvision",
    "utils",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(f"eng.dataset.{name}")).failed == 0


def test_public_names():
    reference = [
        "BaseDataset",
        "Compose",
        "force_full_init",
        "ClassBalancedDataset",
        "ConcatDataset",
        "RepeatDataset",
        "DefaultSampler",
        "InfiniteSampler",
        "worker_init_fn",
        "pseudo_collate",
        "COLLATE_FUNCTIONS",
        "default_collate",
    ]
    ours = [
        "KFoldDataset",
        "ImageFolderDataset",
        "ShardedStream",
        "CsvDataset",
        "JsonLinesDataset",
        "TextFileDataset",
        "LoadImage",
        "Resize",
        "CenterCrop",
        "RandomCrop",
        "RandomFlip",
        "Normalize",
        "TorchvisionTransform",
        "reproducible_loader_parts",
        "SeekableSampler",
        "AnnotationError",
        "AnnotationTypeError",
        "SampleIndexError",
        "PipelineError",
        "TransformError",
        "MetainfoMismatchError",
        "UnsupportedSubsetError",
    ]
    assert sorted(eng.dataset.__all__) == sorted(reference + ours)
    assert all(hasattr(eng.dataset, name) for name in eng.dataset.__all__)
