"""The random generators of a dataloader and of its samplers: given, captured and put back.

An iterator of a torch DataLoader draws the seed of its workers when it is made, and a sampler without a generator draws
its order, both from the global generator by default. A persistent iterator is made once per process, so a resumed
process would draw once more than the run that was never stopped. Loaders of a run therefore draw from generators of
their own, and those that order the data are part of the run's state.
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
_MOST_PARTS = 10_000  # a longer list holds samples
_ORDER = 1 << 32  # keeps the seeds of samplers apart from those of workers


class LoopOverSets(Protocol):
    """A loop over one or several sets of data."""

    dataloader: Any

    def by_set(self) -> Mapping[str, LoopOverSets]:
        """The loops of several sets by name, or the loop itself under ``""``."""


def give_generators(loader: object, seed: int | None) -> None:
    """Gives a torch loader, and samplers whose ``generator`` is None, generators that are seeded from ``seed``.

    The loader's own ``generator`` is replaced: it only seeds workers. A generator that the user gave to the loader
    stays with the sampler, for which it orders the data.

    Args:
        loader: a dataloader; anything but a torch DataLoader is left alone.
        seed: seed of the run.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.generator, _WorkerSeeds):
        return
    loader.generator = _WorkerSeeds()
    loader.generator.manual_seed(_mixed(seed, get_data_rank(), 0))
    for index, (_, sampler) in enumerate(samplers_of(loader)):
        if "generator" in vars(sampler) and sampler.generator is None:
            sampler.generator = torch.Generator().manual_seed(_mixed(seed, _ORDER, index))


def key_samples(loader: object, seed: int) -> None:
    """Makes random numbers in the workers of a ready-made loader a function of seed, epoch and sample.

    The state of a worker's own generators ends with its process, so without this a resumed run would augment its
    samples in another way. Loaders without workers draw from the generators of the run, which are saved.

    Args:
        loader: a dataloader; one whose dataset fetches whole batches itself, or whose batch sampler wraps no sampler,
            is left alone.
        seed: seed of the run.
    """
    if not isinstance(loader, DataLoader) or loader.num_workers == 0 or hasattr(loader.dataset, "__getitems__"):
        return
    if sampler_of(loader.batch_sampler) is loader.sampler:
        reproducible_loader_parts(loader.dataset, loader.sampler, loader.batch_sampler, seed=seed)


def seed_workers(loader: object, seed: int | None, number: int) -> None:
    """Makes the seeds that the next iterator gives to workers a function of the run's seed and ``number``.

    Args:
        loader: a dataloader.
        seed: seed of the run.
        number: of the pass over the data.
    """
    generator = generator_of(loader)
    if isinstance(generator, _WorkerSeeds):
        generator.manual_seed(_mixed(seed, get_data_rank(), number))


def capture_generators(loader: object) -> GeneratorStates:
    """The states of a loader's samplers as plain data: their generators, seed and epoch, and what ``state_dict`` gives.

    Args:
        loader: a dataloader.

    Returns:
        States by the sampler's path in the loader, such as ``"batch_sampler.sampler"``.
    """
    states = {path: _state_of(sampler) for path, sampler in samplers_of(loader)}
    return {path: state for path, state in states.items() if state}


def restore_generators(loader: object, states: GeneratorStates | None) -> None:
    """Puts a loader's samplers and datasets where they were captured; those without a state stay as they are.

    Args:
        loader: a dataloader.
        states: what was captured.
    """
    if not states:
        return
    for path, sampler in (*samplers_of(loader), *_datasets(loader)):
        state = states.get(path, {})
        for name, value in state.get("generators", {}).items():
            generator = vars(sampler).get(name)
            if isinstance(generator, _KINDS):
                with suppress(NotImplementedError):  # this run's generator draws from the system and has no state
                    _set_state(generator, value)
        for name, value in state.get("counts", {}).items():
            if name in vars(sampler):
                setattr(sampler, name, value)
        if "state_dict" in state and _keeps_state(sampler):
            sampler.load_state_dict(state["state_dict"])


def capture_dataset_generators(loader: object) -> GeneratorStates:
    """The states of the generators that a dataset, its transforms or the datasets in it hold as attributes.

    Without workers they move with each sample that this process reads. A worker has copies of them, which end with it.

    Args:
        loader: a dataloader; one with workers has none.
    """
    if worker_count(loader):
        return {}
    states = {path: {"generators": _generator_states(part)} for path, part in _datasets(loader)}
    return {path: state for path, state in states.items() if state["generators"]}


def warn_of_worker_generators(loader: object) -> None:
    """Warns where a resumed run cannot repeat what a dataset draws: its own generators, which are copied into workers."""
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
    """The states of the samplers and datasets of a validation loop; where it has several sets, by ``"<set>:<path>"``.

    Args:
        loop: the loop; one without a dataloader, or None, has none.
    """
    if loop is None:
        return {}
    states = {name: _capture_all(inner.dataloader) for name, inner in loop.by_set().items()}
    return {f"{_prefix(name)}{path}": state for name, by_path in states.items() for path, state in by_path.items()}


def restore_loop_generators(loop: LoopOverSets | None, states: GeneratorStates | None) -> None:
    """Puts the samplers of a validation loop where :func:`capture_loop_generators` saw them.

    Args:
        loop: the loop.
        states: what was captured.
    """
    if loop is None:
        return
    for name, inner in loop.by_set().items():
        prefix = _prefix(name)
        chosen = {path[len(prefix) :]: state for path, state in (states or {}).items() if path.startswith(prefix)}
        restore_generators(inner.dataloader, chosen)


def _prefix(name: str) -> str:
    """What stands before a sampler's path in the states of several sets; nothing where there is one loader."""
    if name:
        return f"{name}:"
    return ""


def warn_of_shared_generators(training_loader: object, validation_loader: object) -> None:
    """Warns where one generator orders the samples of both loaders: a resume cannot repeat such an order.

    Workers of the training loader read ahead, so that their draws and those of a validation take turns that depend on
    the speed of the machine.
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
    """Path of the sampler, attribute and generator, for each generator of a loader's samplers."""
    for path, sampler in samplers_of(loader):
        for name, value in vars(sampler).items():
            if isinstance(value, _KINDS):
                yield path, name, value


class _WorkerSeeds(torch.Generator):
    """A loader's generator that nothing but the seeds of workers is drawn from."""


def _mixed(seed: int | None, stream: int, number: int) -> int:
    return sample_seed(seed or 0, stream, number) >> 1  # manual_seed takes 63 bits as a non-negative number


def samplers_of(loader: object) -> Iterator[tuple[str, Any]]:
    """The loader's sampler, its batch sampler and what they wrap, each once, with its path."""
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
    """A loader's dataset, its transforms and what it wraps, each once, with its path.

    Lists are searched where they hold datasets or transforms, and not where a list of samples is the dataset.
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
    is_of_datasets = path.endswith(".datasets")  # a list within it is itself a dataset
    return len(items) <= _MOST_PARTS and (is_of_datasets or name in _TRANSFORMS)


def _capture_all(loader: object) -> GeneratorStates:
    return {**capture_generators(loader), **capture_dataset_generators(loader)}


def _generator_states(owner: Any) -> dict[str, Any]:
    """The states of the generators among an object's attributes; one that draws from the system has none."""
    states = {}
    for name, value in vars(owner).items():
        if isinstance(value, _KINDS):
            with suppress(NotImplementedError):
                states[name] = _get_state(value)
    return states


def _state_of(sampler: Any) -> dict[str, Any]:
    """The state of one sampler as plain data: its generators, its seed and epoch, and its own ``state_dict``."""
    state: dict[str, Any] = {}
    generators = _generator_states(sampler)
    if generators:
        state["generators"] = generators
    # A sampler without set_epoch counts its passes itself.
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
    """Whether a sampler saves a state of its own. A sampler with ``seek`` is told its position by the loop instead."""
    keeps = all(callable(getattr(type(sampler), name, None)) for name in ("state_dict", "load_state_dict"))
    return keeps and not hasattr(sampler, "seek")


def _get_state(generator: Any) -> Any:
    """The state of a generator of torch, Python or numpy, as plain data and tensors."""
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
    """A nested state of numpy with arrays as lists of whole numbers, which a safe loader reads back."""
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
