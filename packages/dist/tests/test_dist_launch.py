"""The launchers: what they tell, what is missing, and real process groups started by each."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch.distributed as torch_dist

import eng.dist as dist
from eng.device import Accelerator
from eng.dist._init import backend_for
from eng.dist._launchers import first_host, place_from

HERE = Path(__file__).parent
WORKERS = str(HERE / "dist_workers.py")
Run = Callable[..., "subprocess.CompletedProcess[str]"]

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "host", "MASTER_PORT": "1234"}
SLURM = {"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_NODELIST": "gpu[07-08]", "SLURM_LOCALID": "1"}
MPI = {"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}


@pytest.mark.parametrize(
    ("launcher", "env", "address", "port"),
    [
        ("pytorch", TORCHRUN, "host", 1234),
        ("slurm", SLURM, "gpu07", 29500),
        ("slurm", SLURM | {"MASTER_ADDR": "h", "MASTER_PORT": "5"}, "h", 5),
        ("slurm", SLURM | {"SLURM_NODELIST": "gpu07", "SLURM_NNODES": "1"}, "127.0.0.1", None),
        ("mpi", MPI | {"MASTER_ADDR": "h"}, "h", 29500),
        ("mpi", MPI | {"OMPI_COMM_WORLD_LOCAL_SIZE": "8"}, "127.0.0.1", None),
    ],
)
def test_place_is_what_the_launcher_says(launcher: str, env: dict[str, str], address: str, port: int | None) -> None:
    place = place_from(launcher, env)
    assert (place.rank, place.world_size, place.local_rank) == (3, 8, 1)
    assert (place.address, place.port) == (address, port)
    assert place_from(launcher, env, port=77).port == 77


@pytest.mark.parametrize(
    ("launcher", "env", "missing"),
    [
        ("pytorch", {}, ["RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"]),
        ("pytorch", {"RANK": "0", "LOCAL_RANK": "0"}, ["WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"]),
        ("slurm", {"SLURM_PROCID": "0"}, ["SLURM_NTASKS", "SLURM_NODELIST"]),
        ("mpi", {"OMPI_COMM_WORLD_SIZE": "2"}, ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MASTER_ADDR"]),
    ],
)
def test_all_missing_variables_are_named_at_once(launcher: str, env: dict[str, str], missing: list[str]) -> None:
    with pytest.raises(dist.MissingVariablesError, match=rf"{', '.join(missing)}, which are not set; start") as error:
        place_from(launcher, env)
    assert list(error.value.names) == missing and isinstance(error.value, KeyError)


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"no launcher 'pytroch'.*did you mean 'pytorch'"):
        dist.init_dist("pytroch")
    with pytest.raises(dist.LauncherError, match="none"):
        dist.init_dist("none")
    with pytest.raises(dist.LauncherError, match="RANK should be a whole number, but is 'x'"):
        place_from("pytorch", TORCHRUN | {"RANK": "x"})
    with pytest.raises(TypeError, match=r"number of seconds.*but got '10'"):
        dist.init_dist("pytorch", timeout="10")
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(dist.LauncherError, match=r"init_backend should be one of 'torch', .*'horovod'"):
        dist.init_dist("pytorch", init_backend="horovod")


@pytest.mark.parametrize(
    ("text", "host"),
    [("node1", "node1"), ("a,b", "a"), ("gpu[07-09,12],x", "gpu07"), ("n[3,5]", "n3"), ("a-1[2-3]", "a-12")],
)
def test_first_host_of_a_slurm_list(text: str, host: str) -> None:
    assert first_host(text) == host


@pytest.mark.parametrize(
    ("env", "launcher"),
    [({"WORLD_SIZE": "2"}, "pytorch"), ({"SLURM_NTASKS": "2"}, "slurm"), (MPI, "mpi"), ({}, "none")],
)
def test_launcher_is_inferred(env: dict[str, str], launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert dist.infer_launcher() == launcher


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


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_variables(port: int) -> None:
        variables = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
        for name, value in (variables | {"MASTER_PORT": str(port)}).items():
            monkeypatch.setenv(name, value)

    return set_variables


def test_port_in_use_is_named(one_process: Callable[..., None]) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        one_process(port)
        with pytest.raises(dist.PortInUseError, match=f"port {port} of 127.0.0.1 is in use"):
            dist.init_dist("pytorch", backend="gloo")


@pytest.mark.parametrize("timeout", [30, 2.5, timedelta(seconds=30)])
def test_a_group_of_one_starts_and_starts_again(one_process: Callable[..., None], timeout: object) -> None:
    for _ in range(2):
        one_process(dist.find_free_port())
        dist.init_dist("pytorch", backend="gloo", timeout=timeout)
        assert dist.get_dist_info() == (0, 1) and dist.is_distributed() and dist.get_local_size() >= 1
        dist.barrier()
        torch_dist.destroy_process_group()
        assert not dist.is_distributed()


def start(ranks: list[dict[str, str]], script: str, *args: str) -> list[tuple[int, str]]:
    """Starts one process per set of variables and gives exit statuses and what they wrote."""
    common = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    command = [sys.executable, script, *args]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(command, env=common | each, **pipe) for each in ranks]  # type: ignore[call-overload]
    try:
        texts = [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, text) for process, text in zip(processes, texts, strict=True)]


def test_ranks_that_disagree_on_the_world_size_are_told() -> None:
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(dist.find_free_port())}
    ranks = [shared | {"RANK": str(r), "LOCAL_RANK": str(r), "WORLD_SIZE": size} for r, size in enumerate("23")]
    (first, text), (second, other_text) = start(ranks, WORKERS, "pytorch", "check_environment")
    assert first == second == 1
    assert "rank 0 was told of 2 processes, but rank 1 of 3" in text
    assert "rank 1 was told of 3 processes, but rank 0 of 2" in other_text


def test_slurm_variables_start_a_group_on_a_free_port() -> None:
    shared = {"SLURM_NTASKS": "2", "SLURM_NODELIST": "node", "SLURM_NNODES": "1", "SLURM_JOB_ID": f"t{os.getpid()}"}
    ranks = [shared | {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(2)]
    ends = start(ranks, WORKERS, "slurm", "check_environment")
    assert [status for status, _ in ends] == [0, 0], ends
    assert "passed with 2 ranks" in ends[0][1]


@pytest.mark.skipif(shutil.which("srun") is None, reason="no srun on this machine")
def test_srun_starts_a_group(run: Run) -> None:
    done = run(["srun", "-n", "2", sys.executable, WORKERS, "slurm", "check_environment"])
    assert done.returncode == 0 and "passed with 2 ranks" in done.stdout, done.stderr[-2000:]


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on this machine (Debian: openmpi-bin)")
def test_mpirun_starts_a_group_on_a_free_port(run: Run) -> None:
    command = [
        "mpirun",
        "--allow-run-as-root",
        "--oversubscribe",
        "--bind-to",
        "none",
        "-n",
        "2",
        sys.executable,
        WORKERS,
        "mpi",
    ]
    done = run([*command, "check_objects"])
    assert done.returncode == 0 and "passed with 2 ranks" in done.stdout, done.stderr[-2000:]
