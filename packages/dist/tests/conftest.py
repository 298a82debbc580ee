from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as torch_dist

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # spawned processes import the workers by name
LAUNCHED_BY = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "SLURM_", "OMPI_", "PMIX_", "TORCHELASTIC_", "ENG_DIST_")


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees a launcher's variables, or leaves a process group, a thread or a variable behind."""
    for name in list(os.environ):
        if name.startswith(LAUNCHED_BY):
            monkeypatch.delenv(name)
    before = dict(os.environ)
    yield
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()
        pytest.fail("the test left a process group behind")
    os.environ.clear()
    os.environ.update(before)
    assert not [thread for thread in threading.enumerate() if thread.name == "eng-dist-watch"]


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command; the environment is this one's, with the tests' folder importable and one thread per process."""

    def call(command: list[str], timeout: float = 90, **env: str) -> subprocess.CompletedProcess[str]:
        variables = os.environ | {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"} | env
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=variables, check=False)

    return call


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_variables(port: int) -> None:
        variables = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
        for name, value in (variables | {"MASTER_PORT": str(port)}).items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.fixture
def only_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def store() -> Any:
    return torch_dist.HashStore()
