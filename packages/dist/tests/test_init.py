from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from dist_parts import TORCHRUN, pretend

import eng.dist as dist
from eng.device import Accelerator
from eng.dist._init import _bind_device, backend_for
from eng.dist._launchers import Launch, launch_from


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"no launcher 'pytroch'.*did you mean 'pytorch'"):
        dist.init_dist("pytroch")
    with pytest.raises(dist.LauncherError, match="none"):
        dist.init_dist("none")
    with pytest.raises(dist.LauncherError, match="RANK should be a whole number, but is 'x'"):
        launch_from("pytorch", TORCHRUN | {"RANK": "x"})
    with pytest.raises(TypeError, match=r"number of seconds.*but got '10'"):
        dist.init_dist("pytorch", timeout="10")
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(dist.LauncherError, match=r"init_backend should be one of 'torch', .*'horovod'"):
        dist.init_dist("pytorch", init_backend="horovod")


@pytest.mark.parametrize(
    ("backend", "device", "used"),
    [
        ("nccl", None, "gloo"),
        ("nccl", Accelerator("cuda", "nccl"), "nccl"),
        ("nccl", Accelerator("npu", "hccl"), "hccl"),
        ("nccl", Accelerator("mps"), "gloo"),
        ("gloo", Accelerator("npu", "hccl"), "gloo"),
        ("mpi", None, "mpi"),
    ],
)
def test_default_backend_is_the_best_of_the_machine(backend: str, device: Accelerator | None, used: str) -> None:
    assert backend_for(backend, device) == used


@pytest.mark.parametrize(
    ("local_rank", "may_share", "bound"), [(0, False, 0), (1, False, 1), (1, True, 1), (5, True, 1)]
)
def test_each_process_gets_a_device(
    local_rank: int, may_share: bool, bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[int] = []
    pretend(monkeypatch, "npu", device_count=lambda: 2, set_device=numbers.append)
    launch = Launch(rank=local_rank, world_size=6, local_rank=local_rank, local_size=6, address="127.0.0.1", port=1)
    _bind_device(launch, Accelerator("npu", "hccl", "torch_npu"), may_share=may_share)
    assert numbers == [bound]


def test_more_processes_than_devices_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "npu", device_count=lambda: 1, set_device=lambda number: None)
    launch = Launch(rank=7, world_size=8, local_rank=3, local_size=4, address="127.0.0.1", port=1)
    with pytest.raises(
        dist.LauncherError, match=r"rank 7 is process 3 .* shows 1 npu device, .*at most 1 .*backend='gloo'"
    ):
        _bind_device(launch, Accelerator("npu", "hccl", "torch_npu"), may_share=False)


def test_port_in_use_is_named(one_process: Callable[..., None]) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        one_process(port)
        with pytest.raises(dist.PortInUseError, match=f"port {port} of 127.0.0.1 is in use"):
            dist.init_dist("pytorch", backend="gloo")
