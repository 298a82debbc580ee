from __future__ import annotations

import pytest
from dist_parts import TORCHRUN

import eng.dist as dist
from eng.dist._launchers import launch_from

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
    place = launch_from(launcher, env)
    assert (place.rank, place.world_size, place.local_rank) == (3, 8, 1)
    assert (place.address, place.port) == (address, port)
    assert launch_from(launcher, env, port=77).port == 77


@pytest.mark.parametrize(
    ("env", "launcher"),
    [({"WORLD_SIZE": "2"}, "pytorch"), ({"SLURM_NTASKS": "2"}, "slurm"), (MPI, "mpi"), ({}, "none")],
)
def test_launcher_is_inferred(env: dict[str, str], launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert dist.infer_launcher() == launcher
