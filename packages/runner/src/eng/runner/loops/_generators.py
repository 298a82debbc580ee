"""Sets, captures and restores the random generators of a dataloader, its samplers and its dataset.

Torch draws two things from its global generator: a seed for the workers, when a DataLoader's iterator is created, and
the order of the samples, if the sampler has no generator. An iterator with persistent workers is created once per
process, so that a resumed process would draw one worker seed more than an uninterrupted process. Dataloaders of a run
therefore have their own generators, and the generators that order the samples are saved in checkpoints.
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
# Longest list of datasets or transforms in which random generators are searched. A longer list is taken for a list of
# samples, which are not searched.
_MOST_PARTS = 10_000
# Seeds of samplers are mixed with this number and seeds of workers with a rank, so that the two never coincide.
_ORDER = 1 << 32


class LoopOverSets(Protocol):
    """A validation loop over one or several datasets."""

    dataloader: Any

    def by_set(self) -> Mapping[str, LoopOverSets]:
        """Returns the loop of each dataset by the dataset's name; a loop over a single dataset is under ``""``."""


def give_generators(loader: object, seed: int | None) -> None:
    """Sets new random generators, seeded from ``seed``, in a DataLoader and in its samplers without generator.

    The attribute ``generator`` of the DataLoader is always replaced, because it only seeds workers. A generator that
    the user passed to the DataLoader still orders the samples: torch has stored this generator in the sampler too.

    Args:
        loader: a dataloader; objects other than a DataLoader of torch are left unchanged.
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
    """Makes the random numbers that workers of a DataLoader draw for a sample depend only on seed, epoch and sample.

    Without this function, a resumed run would augment its samples differently, because the state of a worker's
    generators is lost when the worker ends. A DataLoader without workers needs no change: it draws from the generators
    of the main process, which checkpoints save. This function is for DataLoaders that the user built and passed as
    objects.

    Args:
        loader: a dataloader; it is left unchanged if its dataset has ``__getitems__`` or its batch sampler wraps no
            sampler.
        seed: seed of the run.
    """
    if not isinstance(loader, DataLoader) or loader.num_workers == 0 or hasattr(loader.dataset, "__getitems__"):
        return
    if sampler_of(loader.batch_sampler) is loader.sampler:
        reproducible_loader_parts(loader.dataset, loader.sampler, loader.batch_sampler, seed=seed)


def seed_workers(loader: object, seed: int | None, number: int) -> None:
    """Seeds the generator from which the next iterator of a dataloader draws the seeds of its workers.

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
        The states by the sampler's attribute path in the dataloader, such as ``"batch_sampler.sampler"``.
    """
    states = {path: _state_of(sampler) for path, sampler in samplers_of(loader)}
    return {path: state for path, state in states.items() if state}


def restore_generators(loader: object, states: GeneratorStates | None) -> None:
    """Restores captured states of a dataloader's samplers and datasets; those without a captured state are unchanged.

    Args:
        loader: a dataloader.
        states: states by path, from :func:`capture_generators` or :func:`capture_dataset_generators`; None does
            nothing.
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
            # hasattr() in place of vars(): before its first pass, a sampler may have ``epoch`` on its class only.
            if hasattr(sampler, name):
                setattr(sampler, name, value)
        if "state_dict" in state and _keeps_state(sampler):
            sampler.load_state_dict(state["state_dict"])


def capture_dataset_generators(loader: object) -> GeneratorStates:
    """Captures the states of random generators that are attributes of a dataset, its transforms or its inner datasets.

    Without worker processes, each sample that this process reads advances these generators. With worker processes, each
    worker advances a copy, which is lost when the worker ends.

    Args:
        loader: a dataloader; for a dataloader with workers the result is empty.
    """
    if worker_count(loader):
        return {}
    states = {path: {"generators": _generator_states(part)} for path, part in _datasets(loader)}
    return {path: state for path, state in states.items() if state["generators"]}


def warn_of_worker_generators(loader: object) -> None:
    """Warns if a dataset has a random generator of its own and the dataloader has workers.

    The state of a worker's copy of the generator cannot be saved, so that a resumed run draws other random numbers.
    """
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
    """Captures the random states of the samplers and datasets of a validation loop.

    The keys are attribute paths in the dataloader, such as ``"sampler"``. With several validation datasets, the name of
    the dataset comes first: ``"clean:sampler"``.

    Args:
        loop: the validation loop; the result is empty for None and for a loop without a dataloader.
    """
    if loop is None:
        return {}
    states = {name: _capture_all(inner.dataloader) for name, inner in loop.by_set().items()}
    return {f"{_prefix(name)}{path}": state for name, by_path in states.items() for path, state in by_path.items()}


def restore_loop_generators(loop: LoopOverSets | None, states: GeneratorStates | None) -> None:
    """Restores the random states of the samplers and datasets of a validation loop.

    Args:
        loop: the validation loop; None does nothing.
        states: result of :func:`capture_loop_generators`.
    """
    if loop is None:
        return
    for name, inner in loop.by_set().items():
        prefix = _prefix(name)
        chosen = {path[len(prefix) :]: state for path, state in (states or {}).items() if path.startswith(prefix)}
        restore_generators(inner.dataloader, chosen)


def _prefix(name: str) -> str:
    """Returns the prefix of the keys of one validation dataset: its name and a colon; empty for a single dataloader."""
    if name:
        return f"{name}:"
    return ""


def warn_of_shared_generators(training_loader: object, validation_loader: object) -> None:
    """Warns if one random generator orders the samples of training and of validation.

    A resumed run cannot repeat such an order: workers of the training dataloader read ahead, so that it depends on the
    speed of the machine whether training or validation draws next from the generator.
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
    """Yields the generators of a dataloader's samplers, each after the sampler's path and the attribute's name."""
    for path, sampler in samplers_of(loader):
        for name, value in vars(sampler).items():
            if isinstance(value, _KINDS):
                yield path, name, value


class _WorkerSeeds(torch.Generator):
    """The generator of a DataLoader, if it only seeds the workers and does not order the samples."""


def _mix_seed(seed: int | None, stream: int, number: int) -> int:
    return sample_seed(seed or 0, stream, number) >> 1  # manual_seed takes 63 bits as a non-negative number


def samplers_of(loader: object) -> Iterator[tuple[str, Any]]:
    """Yields each sampler of a dataloader once, after its attribute path; includes samplers inside other samplers."""
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
    """Yields the dataset of a dataloader, its transforms and its inner datasets, each once, with its attribute path.

    Lists of datasets and lists of transforms are searched. A list that is itself the dataset contains samples and is
    not searched.
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
    """Whether the list at an attribute path contains datasets or transforms; otherwise its items are samples."""
    name = next(name for name in reversed(path.split(".")) if not name.isdigit())
    # Items of a list ``datasets`` are datasets. An item that is itself a list, such as the one at ``datasets.0``, holds
    # samples, so the path must end in ``.datasets``.
    is_of_datasets = path.endswith(".datasets")
    return len(items) <= _MOST_PARTS and (is_of_datasets or name in _TRANSFORMS)


def _capture_all(loader: object) -> GeneratorStates:
    return {**capture_generators(loader), **capture_dataset_generators(loader)}


def _generator_states(owner: Any) -> dict[str, Any]:
    """Captures the states of the random generators among an object's attributes.

    ``random.SystemRandom`` is left out, because it has no state.
    """
    states = {}
    for name, value in vars(owner).items():
        if isinstance(value, _KINDS):
            with suppress(NotImplementedError):
                states[name] = _get_state(value)
    return states


def _state_of(sampler: Any) -> dict[str, Any]:
    """Captures the state of one sampler as plain data: generators, seed, epoch and ``state_dict()``, if present."""
    state: dict[str, Any] = {}
    generators = _generator_states(sampler)
    if generators:
        state["generators"] = generators
    # A sampler without set_epoch counts its passes itself in the attribute `epoch`, so that this count must be saved.
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
    """Whether a sampler has a ``state_dict`` that must be saved.

    A sampler with a method ``seek`` needs no saved state, because the training loop moves it to its position.
    """
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
    """Sets the state of a random generator of torch, Python or NumPy to one that :func:`_get_state` returned."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state.cpu())
    elif isinstance(generator, random.Random):
        generator.setstate((state[0], tuple(state[1]), state[2]))
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(_arrays(state))
    else:
        generator.bit_generator.state = _arrays(state)


def _plain(value: object) -> Any:
    """Converts the nested state of a NumPy generator to lists and numbers, which ``weights_only=True`` can load."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _arrays(value: object) -> Any:
    """Converts the lists in a state from :func:`_plain` back to NumPy arrays."""
    if isinstance(value, dict) and set(value) == {"array", "dtype"}:
        return np.array(value["array"], dtype=value["dtype"])
    if isinstance(value, dict):
        return {key: _arrays(item) for key, item in value.items()}
    return value
