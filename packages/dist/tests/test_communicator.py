from __future__ import annotations

import pytest

from eng.dist._communicator import device_of


@pytest.mark.parametrize(
    ("config", "device"),
    [("cpu:gloo,cuda:gloo", "cpu"), ("cpu:mpi", "cpu"), ("cpu:gloo,cuda:nccl", "cpu"), ("custom", "cpu")],
)
def test_device_of_a_backend(config: str, device: str) -> None:
    assert device_of(config).type == device
