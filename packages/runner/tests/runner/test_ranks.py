"""What needs two ranks: loaders given as objects, losses of validations, a static graph with accumulation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from eng.runner.loops._ranks import without_padding

DRIVER = Path(__file__).with_name("loops_ranks.py")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """What each of two ranks wrote to stdout and stderr."""
    rendezvous = tmp_path_factory.mktemp("ranks") / "rendezvous"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(DRIVER), str(rendezvous)],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        return [process.communicate(timeout=120) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
            process.wait()


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    "scenario",
    [
        "loaders_given_as_objects_are_shared_out",
        "samplers_that_know_ranks_stay",
        "validation_losses_count_each_sample_once",
        "a_static_graph_accumulates",
    ],
)
def test_two_ranks(scenario, outputs) -> None:
    for out, err in outputs:
        assert f"passed {scenario}" in out, err[-3000:]


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ([torch.arange(3), ["a", "b", "c"]], [torch.arange(2), ["a", "b"]]),
        ([{"x": 1}, {"x": 2}, {"x": 3}], [{"x": 1}, {"x": 2}]),
        ({"inputs": [torch.ones(1)] * 3, "n": 3}, {"inputs": [torch.ones(1)] * 2, "n": 3}),
        ((torch.ones(3, 3), torch.zeros(3)), (torch.ones(2, 3), torch.zeros(2))),
    ],
)
def test_a_batch_without_its_padding(batch, expected) -> None:
    assert repr(without_padding(batch, size=3, keep=2)) == repr(expected)
