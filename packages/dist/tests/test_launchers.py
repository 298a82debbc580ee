from __future__ import annotations

import pytest

import eng.dist as dist
from eng.dist._launchers import first_host, launch_from


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
        launch_from(launcher, env)
    assert list(error.value.names) == missing and isinstance(error.value, KeyError)


@pytest.mark.parametrize(
    ("text", "host"),
    [("node1", "node1"), ("a,b", "a"), ("gpu[07-09,12],x", "gpu07"), ("n[3,5]", "n3"), ("a-1[2-3]", "a-12")],
)
def test_first_host_of_a_slurm_list(text: str, host: str) -> None:
    assert first_host(text) == host
