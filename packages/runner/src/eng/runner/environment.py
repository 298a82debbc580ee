"""Sets up the process of a run: process group, seeds, worker processes, cuDNN; and reports the environment."""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as torch_dist
import torch.multiprocessing as mp

from eng.config import Config
from eng.device import device_count, device_name, get_device, is_cuda_available
from eng.dist import all_gather_object, broadcast, get_rank, get_world_size, init_dist, is_distributed, start_watch
from eng.logging._details import DETAIL

from ._version import __version__
from .errors import MixedVersionsError, SettingsError
from .settings import EnvSettings
from .utils import set_random_seed

logger = logging.getLogger(__name__)
_MATMUL_PRECISIONS = ("highest", "high", "medium")


def setup_environment(env_cfg: Mapping[str, Any], launcher: str) -> None:
    """Applies ``env_cfg`` to this process, and starts the process group that ``launcher`` asks for.

    Args:
        env_cfg: see :class:`eng.runner.settings.EnvSettings`.
        launcher: ``"none"``, ``"pytorch"``, ``"slurm"`` or ``"mpi"``.

    Raises:
        MixedVersionsError: the ranks of the new process group run different versions of Python, torch or eng.
        SettingsError: ``matmul_precision`` is unknown.
    """
    settings = EnvSettings.of(env_cfg)
    if settings.cudnn_benchmark:
        torch.backends.cudnn.benchmark = True
    if settings.matmul_precision is not None:
        _set_matmul_precision(settings.matmul_precision)
    if launcher != "none" and not is_distributed():
        init_dist(launcher, **_dist_options(settings))
        start_watch()
        check_versions()
    _set_up_workers(**dict(settings.mp_cfg or {}))
    _raise_file_limit(int(settings.resource_limit))


def _set_matmul_precision(precision: str) -> None:
    """Sets torch's precision for products of float32 matrices; raises a SettingsError for an unknown one."""
    if precision not in _MATMUL_PRECISIONS:
        raise SettingsError(
            f"env_cfg.matmul_precision must be one of {', '.join(map(repr, _MATMUL_PRECISIONS))}, got {precision!r}"
        )
    torch.set_float32_matmul_precision(precision)


def _dist_options(settings: EnvSettings) -> dict[str, Any]:
    """Returns ``dist_cfg`` for :func:`eng.dist.init_dist`.

    If it names no backend, the setting ``backend`` is added or, without this setting, torch's default for the device.
    """
    options = dict(settings.dist_cfg or {})
    if options.get("backend") is None:
        options["backend"] = settings.backend or torch_dist.get_default_backend_for_device(get_device())
    return options


def check_versions() -> None:
    """Checks that all ranks run the same Python, torch and eng. All ranks must call it.

    Raises:
        MixedVersionsError: the versions differ; raised on every rank.
    """
    versions_of_ranks = all_gather_object(_versions())
    mixed = {}
    for name in versions_of_ranks[0]:
        versions = [of_rank[name] for of_rank in versions_of_ranks]
        if len(set(versions)) > 1:
            mixed[name] = versions
    if mixed:
        raise MixedVersionsError(mixed)


def _versions() -> dict[str, str]:
    """Returns the versions that must be equal on all ranks, without the build of torch, such as ``+cpu``."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {"Python": python, "torch": torch.__version__.partition("+")[0], "eng-runner": __version__}


def _set_up_workers(mp_start_method: str | None = None, opencv_num_threads: int = 0) -> None:
    """Sets how worker processes start, and how many threads each process uses.

    The number of threads is set for OpenCV, if it is imported. With several ranks, OpenMP and MKL get one thread each,
    unless the environment sets another number.

    Without ``mp_start_method`` the start method that the program chose stays; a program that chose none gets ``"fork"``.
    """
    if platform.system() != "Windows":
        current = mp.get_start_method(allow_none=True)
        if current is not None and mp_start_method not in (None, current):
            logger.warning("Workers start by %r instead of %r, as mp_cfg says", mp_start_method, current)
        mp.set_start_method(mp_start_method or current or "fork", force=True)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(opencv_num_threads)
    if get_world_size() > 1:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def _raise_file_limit(wanted: int) -> None:
    """Raises the limit of open file descriptors to ``wanted``, as far as the hard limit of this process allows.

    Workers pass tensors to the main process by file descriptors. A higher limit stays; Windows has no such limit.
    """
    if platform.system() == "Windows":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = min(max(wanted, soft), hard)
    if target > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def local_work_dir(work_dir: str | os.PathLike[str]) -> str:
    """Returns the absolute path of a work dir, which may begin with ``~`` (the home folder) or ``file://``.

    Raises:
        SettingsError: ``work_dir`` is an address on another storage, such as ``s3://bucket/run``.
    """
    text = os.fspath(work_dir)
    path = text.removeprefix("file://")
    if "://" in path or path.startswith("s3:"):
        raise SettingsError(
            f"work_dir={text!r}: a run keeps its logs and the name of its newest checkpoint in a folder of this machine. "
            f"Give a local work_dir, and checkpoints go to default_hooks=dict(checkpoint=dict(type='CheckpointHook', "
            f"out_dir={text!r}))"
        )
    return str(Path(path).expanduser().absolute())


def shared_timestamp() -> str:
    """Returns the current time on rank 0 as ``YYYYmmdd_HHMMSS``, the same on all ranks."""
    now = torch.tensor(time.time(), dtype=torch.float64)
    broadcast(now)
    return time.strftime("%Y%m%d_%H%M%S", time.localtime(now.item()))


def set_randomness(seed: int | None, diff_rank_seed: bool, deterministic: bool) -> int:
    """Seeds the generators of Python, NumPy and torch; returns the seed, which is drawn if ``seed`` is None."""
    return set_random_seed(seed=seed, diff_rank_seed=diff_rank_seed, deterministic=deterministic)


def log_environment(
    logger: logging.Logger, randomness: Mapping[str, Any], seed: int, launcher: str, config_text: str
) -> None:
    """Writes machine, software, randomness and config of a run to its log.

    Args:
        logger: logger of the run.
        randomness: the setting ``randomness`` of the run.
        seed: the seed in use, which the run drew if the setting has none.
        launcher: the setting ``launcher`` of the run.
        config_text: the config as text; empty if the run has no config.
    """
    settings = {name: value for name, value in randomness.items() if name != "seed"}
    facts = {"Seed": seed, "Launcher": launcher, **distributed_facts()}
    logger.info(environment_report({**settings, **facts}), extra=DETAIL)
    if config_text:
        logger.info("Config:\n%s", config_text, extra=DETAIL)


def experiment_name_for(setting: str | None, config_file: str | None, timestamp: str) -> str:
    """Returns the name of a run: ``<name>_<timestamp>``, or the timestamp alone.

    Args:
        setting: the setting ``experiment_name``, which is the name; None uses the stem of the config file.
        config_file: config file of the run; None if there is none.
        timestamp: time at which the run started, as text.
    """
    stem = setting
    if stem is None and config_file:
        stem = Path(config_file).stem
    if stem:
        return f"{stem}_{timestamp}"
    return timestamp


def environment_report(settings: Mapping[str, Any]) -> str:
    """Returns a text on machine, software and settings for the log. It calls no other program such as nvcc or gcc.

    Args:
        settings: runtime settings that the second block of the text lists, such as seed and launcher.
    """
    gpus = [device_name(index) for index in range(device_count())]
    system: dict[str, Any] = {
        "sys.platform": sys.platform,
        "Python": sys.version.replace("\n", ""),
        "CUDA available": is_cuda_available(),
        "numpy_random_seed": int(np.random.get_state()[1][0]),  # type: ignore[index]  # noqa: NPY002  # the legacy state is a tuple
        "GPU": ", ".join(f"{i}: {name}" for i, name in enumerate(gpus)) or "none",
        "CUDA_HOME": os.environ.get("CUDA_HOME", "not set"),
        "PyTorch": torch.__version__,
        "NumPy": np.__version__,
        "CPUs": os.cpu_count(),
    }
    line = "-" * 60
    blocks = [("System environment", system), ("Runtime environment", dict(settings))]
    text = "\n\n".join(
        f"{title}:\n" + "\n".join(f"    {name}: {value}" for name, value in values.items()) for title, values in blocks
    )
    return f"\n{line}\n{text}\n{line}\n"


def distributed_facts() -> dict[str, Any]:
    """Returns whether a process group exists, the rank of this process and the number of ranks, for the log."""
    return {"Distributed training": is_distributed(), "Rank": get_rank(), "World size": get_world_size()}


def dump_config(cfg: Config, folder: str, default_name: str, logger: logging.Logger) -> None:
    """Writes a config into a folder, on rank 0, under the name of the config's file.

    Args:
        cfg: the config; an empty config is not written.
        folder: target folder.
        default_name: file name for a config that was not read from a file.
        logger: gets a warning if the config holds values that have no text form.
    """
    if get_rank() != 0 or not len(cfg):
        return
    name = Path(cfg.filename or default_name).name
    try:
        cfg.dump(str(Path(folder) / name))
    except TypeError as error:
        logger.warning("The config is not written to %s: %s", name, error)
