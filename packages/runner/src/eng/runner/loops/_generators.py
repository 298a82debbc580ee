"""Sets, captures and restores the random generators of a dataloader, its samplers and its dataset.

A DataLoader's iterator draws a seed for its workers when it is created, and a sampler without a generator draws the order
of the samples, both from torch's global generator. A persistent iterator is created once per process, so a resumed process
would draw once more than an uninterrupted one. Dataloaders of a run therefore have their own generators, and the generators
that order the samples are saved in checkpoints.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

from eng.dataset import reproducible_loader_parts
from eng.dataset._loader_parts import batch_sampler_of, dataset_of, generator_of, sampler_of, worker_count
from eng.dataset._randomness import sample_seed
from eng.dist import get_data_rank

logger = logging.getLogger(__name__)

GeneratorStates = dict[str, Any]
_KINDS = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)
_TRANSFORMS = ("transform", "transforms", "target_transform", "pipeline")
_PARTS_OF_DATASETS = ("dataset", "datasets", *_TRANSFORMS)
_MOST_PARTS = 10_000  # A longer list is taken for a list of samples.
_ORDER = (
    1 << 32
)  # Seeds of samplers are mixed with this number, seeds of workers with a rank, so that they never coincide.


class LoopOverSets(Protocol):
    """A loop over one or several sets of data."""

    dataloader: Any

    def by_set(self) -> Mapping[str, LoopOverSets]:
        """The loops of several sets by name, or the loop itself under ``""``."""


def give_generators(loader: object, seed: int | None) -> None:
    """Gives a DataLoader, and its samplers whose ``generator`` is None, new generators seeded from ``seed``.

    The DataLoader's ``generator`` is replaced, because it only seeds workers. A generator that the user passed to the
    DataLoader remains the generator of its sampler, where it orders the samples.

    Args:
        loader: a dataloader; anything but a DataLoader of torch is left alone.
        seed: seed of the run.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.generator, _WorkerSeeds):
        return
    loader.generator = _WorkerSeeds()
    loader.generator.manual_seed(_mix_seed(seed, get_data_rank(), 0))
    for index, (_, sampler) in enumerate(samplers_of(loader)):
        if "generator" in vars(sampler) and sampler.generator is None:
            sampler.generator = torch.Generator().manual_seed(_mix_seed(seed, _ORDER, index))


def key_samples(loader: object, seed: int) -> None:
    """Makes random numbers in the workers of a DataLoader given as an object a function of seed, epoch and sample.

    The state of a worker's generators is lost with its process, so a resumed run would augment its samples differently. A
    DataLoader without workers draws from the generators of the main process, which checkpoints save.

    Args:
        loader: a dataloader; one whose dataset has ``__getitems__``, or whose batch sampler wraps no sampler, is left
            alone.
        seed: seed of the run.
    """
    if not isinstance(loader, DataLoader) or loader.num_workers == 0 or hasattr(loader.dataset, "__getitems__"):
        return
    if sampler_of(loader.batch_sampler) is loader.sampler:
        reproducible_loader_parts(loader.dataset, loader.sampler, loader.batch_sampler, seed=seed)


def seed_workers(loader: object, seed: int | None, number: int) -> None:
    """Seeds the generator from which the next iterator draws the seeds of its workers.

    Args:
        loader: a dataloader.
        seed: seed of the run.
        number: number of the pass over the data.
    """
    generator = generator_of(loader)
    if isinstance(generator, _WorkerSeeds):
        generator.manual_seed(_mix_seed(seed, get_data_rank(), number))


def capture_generators(loader: object) -> GeneratorStates:
    """Captures the states of a dataloader's samplers as plain data: generators, seed, epoch and ``state_dict()``.

    Args:
        loader: a dataloader.

    Returns:
        States by the sampler's path in the loader, such as ``"batch_sampler.sampler"``.
    """
    states = {path: _state_of(sampler) for path, sampler in samplers_of(loader)}
    return {path: state for path, state in states.items() if state}


def restore_generators(loader: object, states: GeneratorStates | None) -> None:
    """Restores the captured states of a dataloader's samplers and datasets; a sampler without a state is left alone.

    Args:
        loader: a dataloader.
        states: states by path, from :func:`capture_generators` or :func:`capture_dataset_generators`; None does nothing.
    """
    if not states:
        return
    for path, sampler in (*samplers_of(loader), *_datasets(loader)):
        state = states.get(path, {})
        for name, value in state.get("generators", {}).items():
            generator = vars(sampler).get(name)
            if isinstance(generator, _KINDS):
                with suppress(NotImplementedError):  # A generator that reads the system's randomness has no state.
                    _set_state(generator, value)
        for name, value in state.get("counts", {}).items():
            if name in vars(sampler):
                setattr(sampler, name, value)
        if "state_dict" in state and _keeps_state(sampler):
            sampler.load_state_dict(state["state_dict"])


def capture_dataset_generators(loader: object) -> GeneratorStates:
    """Captures the generators that a dataset, its transforms or the datasets in it have as attributes.

    Without workers each sample that this process reads advances these generators. With workers each worker has copies,
    which are lost with it.

    Args:
        loader: a dataloader; the result is empty for one with workers.
    """
    if worker_count(loader):
        return {}
    states = {path: {"generators": _generator_states(part)} for path, part in _datasets(loader)}
    return {path: state for path, state in states.items() if state["generators"]}


def warn_of_worker_generators(loader: object) -> None:
    """Warns if a dataset has its own generator and the dataloader has workers: a resumed run draws other numbers."""
    if not worker_count(loader):
        return
    owners = [type(part).__name__ for _, part in _datasets(loader) if _generator_states(part)]
    if owners:
        logger.warning(
            "%s of the training data %s a random generator of its own, of which each worker has a copy that ends with it: the "
            "resumed run draws other numbers than one that was never stopped. Draw from random, numpy.random or torch "
            "instead, which are seeded for each sample, or set num_workers=0",
            " and ".join(dict.fromkeys(owners)), "has" if len(set(owners)) == 1 else "have",
        )  # fmt: skip


def capture_loop_generators(loop: LoopOverSets | None) -> GeneratorStates:
    """Captures the samplers and datasets of a validation loop, by path; for several sets by ``"<set>:<path>"``.

    Args:
        loop: the validation loop; the result is empty for None and for a loop without a dataloader.
    """
    if loop is None:
        return {}
    states = {name: _capture_all(inner.dataloader) for name, inner in loop.by_set().items()}
    return {f"{_prefix(name)}{path}": state for name, by_path in states.items() for path, state in by_path.items()}


def restore_loop_generators(loop: LoopOverSets | None, states: GeneratorStates | None) -> None:
    """Restores the samplers and datasets of a validation loop.

    Args:
        loop: the validation loop, or None.
        states: result of :func:`capture_loop_generators`.
    """
    if loop is None:
        return
    for name, inner in loop.by_set().items():
        prefix = _prefix(name)
        chosen = {path[len(prefix) :]: state for path, state in (states or {}).items() if path.startswith(prefix)}
        restore_generators(inner.dataloader, chosen)


def _prefix(name: str) -> str:
    """Returns the prefix of a set's sampler paths in a captured state: ``"<set>:"``, or nothing for a single dataloader."""
    if name:
        return f"{name}:"
    return ""


def warn_of_shared_generators(training_loader: object, validation_loader: object) -> None:
    """Warns if one generator orders the samples of training and validation: a resume cannot repeat such an order.

    Workers of the training dataloader read ahead, so whether training or validation draws next depends on the speed of the
    machine.
    """
    owners = {id(value): path for path, _, value in _generators(training_loader)}
    for path, name, value in _generators(validation_loader):
        if id(value) in owners:
            logger.warning(
                "train_dataloader.%s and val_dataloader.%s draw from one generator (%s): a resumed run will not repeat the "
                "order of the samples; give each loader a generator of its own",
                owners[id(value)], path, name,
            )  # fmt: skip


def _generators(loader: object) -> Iterator[tuple[str, str, Any]]:
    """Yields sampler path, attribute name and generator for each generator of a dataloader's samplers."""
    for path, sampler in samplers_of(loader):
        for name, value in vars(sampler).items():
            if isinstance(value, _KINDS):
                yield path, name, value


class _WorkerSeeds(torch.Generator):
    """A DataLoader's generator from which only the seeds of its workers are drawn."""


def _mix_seed(seed: int | None, stream: int, number: int) -> int:
    return sample_seed(seed or 0, stream, number) >> 1  # manual_seed takes 63 bits as a non-negative number


def samplers_of(loader: object) -> Iterator[tuple[str, Any]]:
    """Yields the samplers of a dataloader and the samplers that they wrap, each once, with its path in the dataloader."""
    seen: set[int] = set()
    waiting = [("batch_sampler", batch_sampler_of(loader)), ("sampler", sampler_of(loader))]
    while waiting:
        path, sampler = waiting.pop(0)
        if sampler is None or id(sampler) in seen or not hasattr(sampler, "__dict__"):
            continue
        seen.add(id(sampler))
        yield path, sampler
        waiting += [(f"{path}.{name}", vars(sampler).get(name)) for name in ("batch_sampler", "sampler")]


def _datasets(loader: object) -> Iterator[tuple[str, Any]]:
    """Yields the dataset of a dataloader, its transforms and the datasets in it, each once, with its path.

    A list of datasets or transforms is searched; a list that is itself the dataset holds samples and is not.
    """
    seen: set[int] = set()
    waiting = deque([("dataset", dataset_of(loader))])
    while waiting:
        path, part = waiting.popleft()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, (list, tuple)):
            if _holds_parts(path, part):
                waiting.extend((f"{path}.{index}", item) for index, item in enumerate(part))
        elif hasattr(part, "__dict__") and not isinstance(part, type):
            yield path, part
            waiting.extend((f"{path}.{name}", vars(part)[name]) for name in _PARTS_OF_DATASETS if name in vars(part))


def _holds_parts(path: str, items: Sequence[Any]) -> bool:
    """Whether a list at a path holds datasets or transforms, and not samples."""
    name = next(name for name in reversed(path.split(".")) if not name.isdigit())
    is_of_datasets = path.endswith(".datasets")  # The items are datasets; an item that is a list holds samples.
    return len(items) <= _MOST_PARTS and (is_of_datasets or name in _TRANSFORMS)


def _capture_all(loader: object) -> GeneratorStates:
    return {**capture_generators(loader), **capture_dataset_generators(loader)}


def _generator_states(owner: Any) -> dict[str, Any]:
    """Captures the generators among an object's attributes; a generator of the system's randomness has no state."""
    states = {}
    for name, value in vars(owner).items():
        if isinstance(value, _KINDS):
            with suppress(NotImplementedError):
                states[name] = _get_state(value)
    return states


def _state_of(sampler: Any) -> dict[str, Any]:
    """Captures one sampler as plain data: its generators, its seed and epoch, and its own ``state_dict()``."""
    state: dict[str, Any] = {}
    generators = _generator_states(sampler)
    if generators:
        state["generators"] = generators
    # A sampler without set_epoch counts its passes itself in `epoch`, so the count must be saved.
    if hasattr(sampler, "set_epoch"):
        names = ["seed"]
    else:
        names = ["seed", "epoch"]
    counts = {name: int(vars(sampler)[name]) for name in names if isinstance(vars(sampler).get(name), int)}
    if counts:
        state["counts"] = counts
    if _keeps_state(sampler):
        state["state_dict"] = sampler.state_dict()
    return state


def _keeps_state(sampler: object) -> bool:
    """Whether a sampler's ``state_dict`` must be saved; a sampler with ``seek`` gets its position from the loop instead."""
    keeps = all(callable(getattr(type(sampler), name, None)) for name in ("state_dict", "load_state_dict"))
    return keeps and not hasattr(sampler, "seek")


def _get_state(generator: Any) -> Any:
    """Returns the state of a generator of torch, Python or NumPy as plain data and tensors."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        version, internal, gauss_next = generator.getstate()
        return [version, list(internal), gauss_next]
    if isinstance(generator, np.random.RandomState):
        return _plain(generator.get_state(legacy=False))
    return _plain(generator.bit_generator.state)


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state.cpu())
    elif isinstance(generator, random.Random):
        generator.setstate((state[0], tuple(state[1]), state[2]))
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(_arrays(state))
    else:
        generator.bit_generator.state = _arrays(state)


def _plain(value: object) -> Any:
    """Converts NumPy's nested state to lists and numbers, because the safe loader of checkpoints reads no NumPy arrays."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _arrays(value: object) -> Any:
    if isinstance(value, dict) and set(value) == {"array", "dtype"}:
        return np.array(value["array"], dtype=value["dtype"])
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    return value
