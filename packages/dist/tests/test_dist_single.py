"""Outside a process group everything gives the single-process answer; pure parts against plain Python."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import eng.device
import eng.dist as dist
from eng.dist._order import indexed, interleaved

README = Path(__file__).parents[1] / "README.md"


BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


def test_readme_has_an_example_that_checks_itself() -> None:
    assert len(BLOCKS) == 1 and "assert " in BLOCKS[0]


def test_only_public_names_of_torch_are_used() -> None:
    private = re.compile(r"torch\._|torch\.distributed\._|torch_dist\._|c10d|from torch\S* import _")
    sources = [path for package in (eng.dist, eng.device) for path in Path(package.__file__).parent.glob("*.py")]
    assert len(sources) > 15 and not [path.name for path in sources if private.search(path.read_text())]


def test_environment_of_a_single_process() -> None:
    assert not dist.is_distributed() and dist.is_main_process()
    assert dist.get_dist_info() == (0, 1) and dist.get_world_size() == 1 and dist.get_rank() == 0
    assert dist.get_local_rank() == 0 and dist.get_local_size() == 1
    assert dist.get_backend() is None and dist.get_default_group() is None and dist.get_local_group() is None
    assert dist.get_comm_device() == torch.device("cpu")
    assert dist.master_only(lambda a, b=1: (a, b))(1, b=2) == (1, 2)
    dist.barrier()
    with pytest.raises(RuntimeError, match="no process group yet"):
        dist.init_local_group(0, 1)


@pytest.mark.parametrize(
    ("call", "kind", "match"),
    [
        (lambda: dist.all_reduce(torch.ones(1), "avg"), ValueError, "no reduction is called 'avg'; op takes sum, mean"),
        (lambda: dist.all_reduce(torch.tensor(True), "mean"), TypeError, "truth"),
        (lambda: dist.all_reduce(torch.ones(1, dtype=torch.complex64), "max"), TypeError, "complex"),
        (lambda: dist.all_reduce_dict([1]), TypeError, "dictionary of tensors, but got list"),
        (lambda: dist.all_reduce_dict({"a": 1.0}), TypeError, r"data\['a'\] should be a tensor, but got float"),
        (lambda: dist.broadcast_object_list("ab"), TypeError, "should be a list, but got str"),
        (lambda: dist.collect_results([1], 1, "disk"), dist.LauncherError, "'cpu', 'gpu'.*'disk'"),
        (lambda: dist.collect_results([1], 1, indices=[0, 1]), dist.ResultsError, "2 for 1 results"),
        (lambda: dist.collect_results([1], 3, indices=[0]), dist.ResultsError, "2 of 3 samples .*: 1, 2"),
        (lambda: dist.collect_results([1], 1, indices=[5]), dist.ResultsError, "sample 5, but .* one sample, number 0"),
        (lambda: dist.collect_results([1], 0, indices=[0]), dist.ResultsError, "sample 0, but the dataset is empty"),
    ],
)
def test_mistakes_are_named_on_one_process_too(call: Any, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        call()


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("round_up", [True, False])
def test_order_is_the_dataset_for_every_size(world_size: int, round_up: bool) -> None:
    for size in range(38):
        total = -(-size // world_size) * world_size if round_up else size
        parts = [[i % size for i in range(rank, total, world_size)] for rank in range(world_size)]
        assert interleaved(parts, size) == list(range(size))
        assert indexed([(part, [f"r{i}" for i in part]) for part in parts], size) == [f"r{i}" for i in range(size)]


def test_import_is_light_and_starts_nothing() -> None:
    code = (
        "import sys, threading, eng.dist; assert 'deepspeed' not in sys.modules; assert threading.active_count() == 1"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_fewer_results_than_samples_keep_their_order() -> None:
    assert interleaved([["a", "c"], ["b"]], 10) == ["a", "b", "c"]  # as one result per batch gives
    assert interleaved([["a"], ["b", "d", "f"]], 10) == ["a", "b", "d", "f"]
    assert interleaved([[], []], 3) == [] and interleaved([[1]], 0) == []
