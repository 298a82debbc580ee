"""Reads rank, world size and address from the environment variables of each launcher."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eng.dist.errors import LauncherError, MissingVariablesError

DEFAULT_PORT = 29500


@dataclass(frozen=True)
class Launch:
    """Rank, world size and address that a launcher has assigned to this process.

    Args:
        rank: rank of this process, 0 to ``world_size - 1``.
        world_size: number of processes.
        local_rank: rank of this process on its machine; None if the launcher does not set it.
        local_size: number of processes on this machine; None if the launcher does not set it.
        address: host of rank 0.
        port: port on which rank 0 listens; None lets rank 0 choose a free port (single node only).
        job: unique name of the job, equal in all its processes; empty if the launcher sets none.
    """

    rank: int
    world_size: int
    local_rank: int | None
    local_size: int | None
    address: str
    port: int | None
    job: str = ""


def launch_from(launcher: str, env: Mapping[str, str], port: int | None = None) -> Launch:
    """Reads rank, world size and address of this process from the environment variables of a launcher.

    Args:
        launcher: ``'pytorch'`` (torchrun), ``'slurm'`` or ``'mpi'``.
        env: the environment variables.
        port: port on which rank 0 listens; overrides the environment.

    Raises:
        LauncherError: the launcher does not exist.
        MissingVariablesError: variables of the launcher are not set; the message names all of them.
    """
    reader = _READERS.get(launcher)
    if reader is None:
        nearest = difflib.get_close_matches(str(launcher), _READERS, 1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise LauncherError(f"there is no launcher {launcher!r}; known are {', '.join(map(repr, _READERS))}{hint}")
    return reader(env, port)


def first_host(node_list: str) -> str:
    """Returns the first host of a compact node list of Slurm.

    Example:
        >>> first_host('gpu[07-09,12],login')
        'gpu07'
    """
    head = re.match(r"([^,\[]*)(?:\[([^\]]*)\])?", node_list.strip())
    assert head is not None  # Both parts of the pattern may be empty, so it always matches.
    prefix, numbers = head.groups()
    return prefix if numbers is None else prefix + re.split(r"[-,]", numbers)[0]


def _require(env: Mapping[str, str], launcher: str, names: tuple[str, ...], hint: str) -> None:
    missing = [name for name in names if name not in env]
    if missing:
        raise MissingVariablesError(launcher, missing, hint)


def _number(env: Mapping[str, str], name: str) -> int:
    try:
        return int(env[name])
    except ValueError:
        raise LauncherError(f"environment variable {name} should be a whole number, but is {env[name]!r}") from None


def _optional(env: Mapping[str, str], name: str) -> int | None:
    return _number(env, name) if name in env else None


def _from_torchrun(env: Mapping[str, str], port: int | None) -> Launch:
    """Reads rank, world size and address from the environment variables of torchrun; `port` overrides MASTER_PORT."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    _require(env, "pytorch", names if port is None else names[:-1], "start the script with torchrun, which sets them")
    return Launch(
        rank=_number(env, "RANK"),
        world_size=_number(env, "WORLD_SIZE"),
        local_rank=_number(env, "LOCAL_RANK"),
        local_size=1 if _number(env, "WORLD_SIZE") == 1 else _optional(env, "LOCAL_WORLD_SIZE"),
        address=env["MASTER_ADDR"],
        port=port if port is not None else _number(env, "MASTER_PORT"),
    )


def _from_slurm(env: Mapping[str, str], port: int | None) -> Launch:
    """Reads rank, world size and address from the environment variables of Slurm's srun.

    Without MASTER_ADDR, the address is this machine for a job on one node, otherwise the first host of the node list.
    """
    nodes = "SLURM_NODELIST" if "SLURM_NODELIST" in env else "SLURM_JOB_NODELIST"
    nodes = nodes if nodes in env else "SLURM_NODELIST"
    _require(env, "slurm", ("SLURM_PROCID", "SLURM_NTASKS", nodes), "start the script with srun, which sets them")
    world_size = _number(env, "SLURM_NTASKS")
    single = env.get("SLURM_NNODES", env.get("SLURM_JOB_NUM_NODES")) == "1" or not re.search(r"[,\[]", env[nodes])
    return Launch(
        rank=_number(env, "SLURM_PROCID"),
        world_size=world_size,
        local_rank=_optional(env, "SLURM_LOCALID"),
        local_size=world_size if single else _optional(env, "SLURM_NTASKS_PER_NODE"),
        address=env.get("MASTER_ADDR") or ("127.0.0.1" if single else first_host(env[nodes])),
        port=_port(env, port, single),
        job=f"slurm-{env['SLURM_JOB_ID']}.{env.get('SLURM_STEP_ID', '')}" if "SLURM_JOB_ID" in env else "",
    )


def _from_mpi(env: Mapping[str, str], port: int | None) -> Launch:
    """Reads rank, world size and address from the environment variables of Open MPI's mpirun.

    On several nodes MASTER_ADDR must be set, because Open MPI does not name the host of rank 0.
    """
    names = ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"]
    single = "OMPI_COMM_WORLD_SIZE" in env and env.get("OMPI_COMM_WORLD_LOCAL_SIZE") == env["OMPI_COMM_WORLD_SIZE"]
    if not single:
        names.append("MASTER_ADDR")
    hint = "start the script with mpirun; on several nodes pass the host of rank 0 with -x MASTER_ADDR=host"
    _require(env, "mpi", tuple(names), hint)
    return Launch(
        rank=_number(env, "OMPI_COMM_WORLD_RANK"),
        world_size=_number(env, "OMPI_COMM_WORLD_SIZE"),
        local_rank=_number(env, "OMPI_COMM_WORLD_LOCAL_RANK"),
        local_size=_optional(env, "OMPI_COMM_WORLD_LOCAL_SIZE"),
        address=env.get("MASTER_ADDR", "127.0.0.1"),
        port=_port(env, port, single),
        job=f"mpi-{env['PMIX_NAMESPACE']}" if "PMIX_NAMESPACE" in env else "",
    )


def _port(env: Mapping[str, str], port: int | None, single_node: bool) -> int | None:
    """Returns the port on which rank 0 listens: the argument, MASTER_PORT, or a default; None lets rank 0 choose one.

    Rank 0 can choose a free port only on a single node.
    """
    if port is not None:
        return int(port)
    if "MASTER_PORT" in env:
        return _number(env, "MASTER_PORT")
    return None if single_node else DEFAULT_PORT


_READERS: dict[str, Callable[[Mapping[str, str], int | None], Launch]] = {
    "pytorch": _from_torchrun,
    "slurm": _from_slurm,
    "mpi": _from_mpi,
}
