"""Creates the process group: `init_dist`."""

from __future__ import annotations

import atexit
import logging
import os
from datetime import timedelta
from typing import Any

import torch.distributed as torch_dist

from eng.device._table import Accelerator, current_accelerator
from eng.dist._gloo_threads import wait_for_gloo_threads
from eng.dist._group_store import JOB_STORES
from eng.dist._launchers import Launch, launch_from
from eng.dist._rendezvous import DEFAULT_TIMEOUT, check_world_size, open_store
from eng.dist.errors import LauncherError

logger = logging.getLogger(__name__)

# Arguments of `torch.distributed.init_process_group` by which the user defines how ranks find each other. If one of
# them is passed to `init_dist`, eng opens no key-value store itself.
_OWN_RENDEZVOUS = ("init_method", "store", "rank", "world_size")
# Backends that communicate by the CPU; with them several ranks may use the same accelerator.
_HOST_BACKENDS = ("gloo", "mpi")


def infer_launcher() -> str:
    """Infers from environment variables which launcher started this process.

    Returns:
        ``'pytorch'``, ``'slurm'``, ``'mpi'``, or ``'none'`` without a launcher.

    Example:
        >>> infer_launcher() in {'pytorch', 'slurm', 'mpi', 'none'}
        True
    """
    for variable, launcher in (
        ("WORLD_SIZE", "pytorch"),
        ("SLURM_NTASKS", "slurm"),
        ("OMPI_COMM_WORLD_LOCAL_RANK", "mpi"),
    ):
        if variable in os.environ:
            return launcher
    return "none"


def init_dist(launcher: str, backend: str = "nccl", init_backend: str = "torch", **kwargs: Any) -> None:
    """Creates the process group of a job that a launcher started, and sets the current device of this process.

    Afterwards the environment variables RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE (if known), MASTER_ADDR and
    MASTER_PORT are set as torchrun sets them, whichever launcher was used. On a single node under Slurm or MPI, rank 0
    chooses a free port unless MASTER_PORT is set.

    The start method of worker processes and the watch, which reports failures to the other ranks
    (:func:`eng.dist.start_watch`), are left to the program; the Runner of eng-runner sets both.

    Args:
        launcher: ``'pytorch'`` (torchrun), ``'slurm'`` (srun) or ``'mpi'`` (mpirun).
        backend: communication backend. For ``'nccl'``, the default, the backend of the available accelerator is used
            (``'hccl'``, ``'cncl'``, ``'mccl'``), or ``'gloo'`` with a warning if there is none. Any other name is used
            unchanged.
        init_backend: library that creates the process group: ``'torch'``, ``'deepspeed'`` or ``'colossalai'``.
        **kwargs: arguments for ``torch.distributed.init_process_group`` (or the function of ``init_backend``), such as
            ``timeout`` in seconds (or a timedelta; 30 minutes by default), and ``port``, on which rank 0 listens.

    Raises:
        LauncherError: ``launcher`` or ``init_backend`` does not exist, or the machine has fewer devices than processes.
        MissingVariablesError: environment variables of the launcher are not set; the message names all of them.
        PortInUseError: rank 0 cannot listen on the port.
        WorldSizeMismatchError: the ranks have different values of WORLD_SIZE.
        CollectiveTimeoutError: a rank did not connect in time.
        TypeError: ``timeout`` is neither a number nor a timedelta.
    """
    timeout = _as_timedelta(kwargs.pop("timeout", None))
    launch = launch_from(launcher, os.environ, kwargs.pop("port", None))
    device = current_accelerator()
    launch = _set_environment(launch, device)
    backend = backend_for(backend, device)
    # Under Slurm a process may see fewer devices than its machine has ranks: --gpus-per-task=1 shows each process one
    # device only. If two ranks do use the same device, NCCL raises an error itself.
    _bind_device(launch, device, may_share=backend in _HOST_BACKENDS or launcher == "slurm")
    starter = _STARTERS.get(init_backend)
    if starter is None:
        raise LauncherError(
            f"init_backend should be one of {', '.join(map(repr, _STARTERS))}, but got {init_backend!r}"
        )
    starter(launcher, launch, backend, timeout, kwargs)
    atexit.register(wait_for_gloo_threads)


def backend_for(backend: str, device: Accelerator | None) -> str:
    """Returns `backend`, unless it is ``'nccl'`` and `device` is not a CUDA device.

    In that case the backend of the device's vendor is returned, or ``'gloo'``, with a warning, if there is none.
    """
    if backend != "nccl" or (device is not None and device.name == "cuda"):
        return backend
    if device is not None and device.backend is not None:
        return device.backend
    logger.warning("backend 'nccl' needs a CUDA device, which this machine lacks; 'gloo' is used instead")
    return "gloo"


def _as_timedelta(timeout: Any) -> timedelta | None:
    """Converts the setting `timeout`, a number of seconds or a timedelta, to a timedelta; None stays None.

    Raises:
        TypeError: the setting has another type.
    """
    if timeout is None or isinstance(timeout, timedelta):
        return timeout
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(
            f"timeout should be a number of seconds, such as dist_cfg=dict(backend='nccl', timeout=1800), "
            f"but got {timeout!r} of type {type(timeout).__name__}"
        )
    return timedelta(seconds=timeout)


def _set_environment(launch: Launch, device: Accelerator | None) -> Launch:
    """Sets RANK, WORLD_SIZE, LOCAL_RANK and other environment variables as torchrun does, whichever launcher was used.

    If the launcher sets no local rank, it is computed from the rank and the number of devices.

    Returns:
        `launch` with the local rank.
    """
    local_rank = launch.local_rank
    if local_rank is None:
        count = device.count() if device is not None else 0
        local_rank = launch.rank % count if count else launch.rank
    variables = {"RANK": launch.rank, "WORLD_SIZE": launch.world_size, "LOCAL_RANK": local_rank}
    variables |= {"LOCAL_WORLD_SIZE": launch.local_size} if launch.local_size is not None else {}
    variables |= {"MASTER_PORT": launch.port} if launch.port is not None else {}
    os.environ.update({name: str(value) for name, value in variables.items()}, MASTER_ADDR=launch.address)
    return Launch(**{**launch.__dict__, "local_rank": local_rank})


def _bind_device(launch: Launch, device: Accelerator | None, *, may_share: bool) -> None:
    """Makes the device whose index is the local rank the current device of this process.

    If the machine has more ranks than devices, an error is raised, unless `may_share` is set: then the devices are
    assigned to the ranks in turn, and several ranks use the same device.
    """
    if device is None or launch.local_rank is None:
        return
    count = device.count()
    if launch.local_rank < count:
        device.set_current(launch.local_rank)
    elif count and may_share:
        device.set_current(launch.local_rank % count)
        logger.info("rank %d takes one of %d %s devices in turn", launch.rank, count, device.name)
    else:
        raise LauncherError(
            f"rank {launch.rank} is process {launch.local_rank} of its machine, which shows {count} {device.name} "
            f"device{'' if count == 1 else 's'}, numbered from 0: start at most {count} processes there, or let them share "
            "devices with dist_cfg=dict(backend='gloo')"
        )


def _start_torch(
    launcher: str, launch: Launch, backend: str, timeout: timedelta | None, kwargs: dict[str, Any]
) -> None:
    """Creates the process group by torch.

    eng opens the key-value store of the process group itself, so that it can report errors such as a port in use. If
    the user passes arguments such as ``init_method``, or the backend is mpi, torch connects the ranks.
    """
    limit: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    if backend == "smddp":
        _import_smddp()
    if backend == "mpi" or any(name in kwargs for name in _OWN_RENDEZVOUS):
        torch_dist.init_process_group(backend=backend, **limit, **kwargs)
        return
    patience = timeout or DEFAULT_TIMEOUT
    store = open_store(launch, patience)
    check_world_size(store, launch, patience)
    torch_dist.init_process_group(
        backend=backend, store=store, rank=launch.rank, world_size=launch.world_size, **limit, **kwargs
    )
    if torch_dist.group.WORLD is not None:
        JOB_STORES.set(torch_dist.group.WORLD, store)
        atexit.register(JOB_STORES.clear)  # The stores must be closed before the interpreter ends torch's threads.


def _import_smddp() -> None:
    try:
        import smdistributed.dataparallel.torch.torch_smddp  # type: ignore[import-not-found] # noqa: F401 # the package exists only on SageMaker
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "backend 'smddp' needs the package smdistributed, which comes with the SageMaker deep-learning containers"
        ) from error


def _start_deepspeed(
    launcher: str, launch: Launch, backend: str, timeout: timedelta | None, kwargs: dict[str, Any]
) -> None:
    """Creates the process group by DeepSpeed, which reads ranks and address from the environment variables."""
    import deepspeed  # type: ignore[import-not-found,import-untyped,unused-ignore] # optional

    limit: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    deepspeed.init_distributed(dist_backend=backend, **limit, **kwargs)


def _start_colossalai(
    launcher: str, launch: Launch, backend: str, timeout: timedelta | None, kwargs: dict[str, Any]
) -> None:
    """Creates the process group by ColossalAI.

    ColossalAI reads the address of rank 0 from torchrun's environment variables; for any other launcher its function
    for Slurm is called with the address.
    """
    import colossalai  # type: ignore[import-not-found,import-untyped,unused-ignore] # optional

    address = {} if launcher == "pytorch" else {"host": launch.address, "port": launch.port}
    start = colossalai.launch_from_torch if launcher == "pytorch" else colossalai.launch_from_slurm
    start(backend=backend, **address, **kwargs)


_STARTERS = {"torch": _start_torch, "deepspeed": _start_deepspeed, "colossalai": _start_colossalai}
