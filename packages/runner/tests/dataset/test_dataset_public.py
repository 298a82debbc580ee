from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

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
    "sampler",
    "utils",
]
PAGE = Path(__file__).parents[4] / "docs" / "dataset.md"


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
        "reproducible_loader_parts",
        "SeekableSampler",
        "AnnotationError",
        "AnnotationTypeError",
        "SampleIndexError",
        "PipelineError",
        "MetainfoMismatchError",
        "UnsupportedSubsetError",
    ]
    assert sorted(eng.dataset.__all__) == sorted(reference + ours)
    assert all(hasattr(eng.dataset, name) for name in eng.dataset.__all__)


@pytest.mark.skipif(not PAGE.exists(), reason="the page lives in the repository, not in the package")
def test_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place, block in enumerate(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)):
        exec(compile(block, f"{PAGE.name}[{place}]", "exec"), {"__name__": "__main__"})
