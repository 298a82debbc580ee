"""Collects the results of an evaluation from all ranks on rank 0, in the order of the dataset."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from eng.dist._communicator import Communicator
from eng.dist._communicators import communicator
from eng.dist._objects import gather_object, where_unpicklable
from eng.dist._order import indexed, interleaved
from eng.dist._shares import get_ranks_per_share
from eng.dist.errors import ResultsDeviceError, ResultsError, ResultsOptionError, UnpicklableError

logger = logging.getLogger(__name__)

_BY_COLLECTIVES = {"gpu", "npu", "mlu", "musa"}
_PATH_BYTES = 4096
_WRITTEN, _UNSEEN, _UNPICKLABLE, _UNWRITABLE = range(4)


def collect_results(
    results: list[Any],
    size: int,
    device: str = "cpu",
    tmpdir: str | None = None,
    *,
    indices: Sequence[int] | None = None,
) -> list[Any] | None:
    """Collects the results of all ranks on rank 0, one per sample, in the order of the dataset.

    Without `indices`, the sampler must deal the samples out to the ranks in turn, as `eng.dataset.DefaultSampler` does:
    with W ranks, result i of rank r belongs to sample ``r + i * W``. Results for samples ``>= size`` are dropped, since
    they come from padding. With `indices`, results are sorted by the index of their sample, each sample counts once,
    and missing samples raise an error.

    Args:
        results: the results of this rank, in the order of its sampler.
        size: number of samples in the dataset, without padding.
        device: ``'cpu'`` transfers the results by files; ``'gpu'`` (also ``'npu'``, ``'mlu'``, ``'musa'``) by the
            process group.
        tmpdir: folder for the files, which all ranks must see; None tries the system's temporary folder, then
            ``.dist_test`` in the working directory. For ``'cpu'`` only.
        indices: index of the sample of each result; on all ranks or on none.

    Returns:
        The results on rank 0; None on the other ranks.

    Raises:
        ResultsDeviceError: `device` is not supported.
        ResultsOptionError: `tmpdir` is set for a device other than ``'cpu'``.
        ResultsError: `indices` and `results` differ in length, an index is outside the dataset, samples are missing, or
            one of several ranks has more results than its share.
        UnpicklableError: raised on all ranks if a result cannot be pickled.
        OSError: no folder is visible to all ranks and writable.

    Example:
        >>> collect_results(['a', 'b', 'a'], size=2)
        ['a', 'b']
        >>> collect_results(['b', 'a', 'b'], size=2, indices=[1, 0, 1])
        ['a', 'b']
    """
    if device == "cpu":
        return collect_results_cpu(results, size, tmpdir, indices=indices)
    if device in _BY_COLLECTIVES:
        if tmpdir is not None:
            raise ResultsOptionError(f"tmpdir should be None when device is {device!r}, but got {tmpdir!r}")
        return collect_results_gpu(results, size, indices=indices)
    known = ", ".join(map(repr, ["cpu", *sorted(_BY_COLLECTIVES)]))
    raise ResultsDeviceError(f"device should be one of {known}, but got {device!r}")


def collect_results_cpu(
    result_part: list[Any], size: int, tmpdir: str | None = None, *, indices: Sequence[int] | None = None
) -> list[Any] | None:
    """Collects the results of all ranks on rank 0 by files, as `collect_results` with ``device='cpu'`` does.

    Each rank except rank 0 writes its results to one file. Rank 0 reads and removes the files one after another.
    Arguments, return value and exceptions are those of `collect_results`.

    Example:
        >>> collect_results_cpu([1, 2, 3], size=2)
        [1, 2]
    """
    part = _part(result_part, indices)
    comm = communicator()
    if comm.size <= 1:
        return _ordered([part], size, indices is not None)
    folder = _hand_over(part, comm, tmpdir)
    if comm.rank != 0:
        return None
    try:
        parts = [part, *(_read(folder, rank) for rank in range(1, comm.size))]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _ordered(parts, size, indices is not None)


def collect_results_gpu(result_part: list[Any], size: int, *, indices: Sequence[int] | None = None) -> list[Any] | None:
    """Collects the results of all ranks on rank 0 by a collective, as `collect_results` with ``device='gpu'`` does.

    The name is MMEngine's; the function works with any backend, also without a GPU.

    Arguments, return value and exceptions are those of `collect_results`.

    Example:
        >>> collect_results_gpu([1, 2, 3], size=2)
        [1, 2]
    """
    parts = gather_object(_part(result_part, indices))
    return None if parts is None else _ordered(parts, size, indices is not None)


def _part(results: list[Any], indices: Sequence[int] | None) -> Any:
    if indices is None:
        return results
    if len(indices) != len(results):
        raise ResultsError(f"there should be one index per result, but got {len(indices)} for {len(results)} results")
    return [int(index) for index in indices], results


def _ordered(parts: list[Any], size: int, has_indices: bool) -> list[Any]:
    """Merges the results of all ranks in the order of the dataset."""
    # Ranks that read the same share of the data, such as those of a tensor-parallel group, have equal results. Only the
    # results of the first rank of each share are used.
    parts = parts[:: get_ranks_per_share()]
    return indexed(parts, size) if has_indices else interleaved(parts, size)


def _hand_over(part: Any, comm: Communicator, tmpdir: str | None) -> Path:
    """Writes the results of this rank to a file for rank 0, and returns the folder of the files; all ranks call it.

    The first base folder in which all ranks can write is used: `tmpdir` if it is set, otherwise the system's temporary
    folder, then ``.dist_test`` in the working directory. If a rank cannot write in any of them, an error is raised.
    """
    bases = [Path(tmpdir)] if tmpdir is not None else [Path(tempfile.gettempdir()), Path(".dist_test").absolute()]
    for base in bases:
        folder = _agree_on_folder(base, comm)
        status, failure = _write_results(folder, part, comm.rank)
        own_status = torch.tensor([status], device=comm.device)
        # After this collective all ranks have finished writing, so that rank 0 can read their files.
        statuses = [int(value) for value in comm.all_gather(own_status)]
        if folder is not None and set(statuses) == {_WRITTEN}:
            return folder
        if comm.rank == 0 and folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        _raise_unpicklable(statuses, failure)
        logger.info("results cannot be handed over in %s: ranks %s cannot use it", base, _failed_ranks(statuses))
    raise OSError(
        f"ranks {_failed_ranks(statuses)} cannot write to {' or '.join(map(str, bases))} of rank 0's machine; "
        "set tmpdir to a folder that all machines share, or collect with device='gpu'"
    )


def _agree_on_folder(base: Path, comm: Communicator) -> Path | None:
    """Lets rank 0 create a new folder below `base`, and returns its path on all ranks; None if rank 0 failed."""
    name = torch.zeros(_PATH_BYTES, dtype=torch.uint8)
    if comm.rank == 0:
        raw = os.fsencode(_new_folder(base))
        name[: len(raw)] = torch.tensor(list(raw), dtype=torch.uint8)
    wire = name.to(comm.device)
    comm.broadcast(wire, 0)
    path = os.fsdecode(bytes(wire.cpu().tolist()).rstrip(b"\0"))
    return Path(path) if path else None


def _new_folder(base: Path) -> str:
    try:
        base.mkdir(parents=True, exist_ok=True)
        return tempfile.mkdtemp(prefix="eng-results-", dir=base.absolute())
    except OSError as error:
        logger.warning("no folder for results can be made in %s: %s", base, error)
        return ""


def _write_results(folder: Path | None, part: Any, rank: int) -> tuple[int, Exception | None]:
    """Writes the results of this rank to a file in `folder`; rank 0 writes nothing.

    Args:
        folder: the folder; None if rank 0 could not create it.
        part: the results.
        rank: rank of this process.

    Returns:
        The status for the other ranks: `_WRITTEN`, `_UNSEEN` (this rank does not see the folder), `_UNPICKLABLE` or
        `_UNWRITABLE`; and the error, if there is one.
    """
    if folder is None or not folder.is_dir():
        return _UNSEEN, None
    if rank == 0:
        # Rank 0 collects the results of all ranks: it keeps its own results in memory and writes no file.
        return _WRITTEN, None
    try:
        with _file(folder, rank).open("wb") as file:
            pickle.dump(part, file, protocol=pickle.HIGHEST_PROTOCOL)
    except OSError as error:
        return _UNWRITABLE, error
    except Exception as error:  # noqa: BLE001 # pickling calls code of the object, which may raise anything; all ranks learn of the error before it is raised
        failure = UnpicklableError([rank], f"{where_unpicklable(part, 'results')} cannot be pickled: {error}")
        failure.__cause__ = error
        return _UNPICKLABLE, failure
    return _WRITTEN, None


def _raise_unpicklable(statuses: list[int], failure: Exception | None) -> None:
    ranks = [rank for rank, status in enumerate(statuses) if status == _UNPICKLABLE]
    if ranks:
        detail = f": {failure}" if failure is not None else "; its own error says which and why"
        names = ", ".join(map(str, ranks))
        raise UnpicklableError(ranks, f"rank {names} has results that cannot be pickled{detail}") from failure


def _failed_ranks(statuses: list[int]) -> str:
    """Returns the ranks that could not write their results, as text for messages."""
    return ", ".join(str(rank) for rank, status in enumerate(statuses) if status != _WRITTEN)


def _read(folder: Path, rank: int) -> Any:
    path = _file(folder, rank)
    with path.open("rb") as file:
        part = pickle.load(file)
    path.unlink()
    return part


def _file(folder: Path, rank: int) -> Path:
    return folder / f"part_{rank}.pkl"
