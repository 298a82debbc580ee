"""Every error class of every package crosses processes: type, text and attributes arrive, and no pool hangs."""

from __future__ import annotations

import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil

import pytest
import torch

import eng
from eng.checkpoint import LoadReport

TEXT = 'Caught it in worker 0.\nOriginal: "two lines"'
# A value for each parameter, by its annotation; the first entry whose key is part of the annotation counts.
VALUES = {
    "dict[int": {0: "all_reduce"},
    "Mapping[int": {0: "all_reduce"},
    "dict[str, list": {"torch": ["2.6", "2.7"]},
    "LoadReport": LoadReport(unexpected=("head.weight",)),
    "list[BuildNode]": [],
    "tuple[str": ("first", "second"),
    "tuple[Any": ("model", "depth"),
    "[int]": [0, 1],
    "[str]": ["first", "second"],
    "Iterable[object]": ["first", "second"],
    "bool": True,
    "float": 0.5,
    "int": 3,
    "str": "some text",
    "object": "some text",
    "Any": "some text",
    "type": int,
    "Exception": ValueError("some text"),
    "Error": ValueError("some text"),
}


def subclasses(cls: type) -> set[type]:
    below = set(cls.__subclasses__())
    return below.union(*(subclasses(each) for each in below))


def error_classes() -> list[type[BaseException]]:
    for module in pkgutil.walk_packages(eng.__path__, "eng."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = [cls for cls in subclasses(BaseException) if cls.__module__.startswith("eng.")]
    return sorted(ours, key=lambda cls: (cls.__module__, cls.__qualname__))


CLASSES = [pytest.param(cls, id=f"{cls.__module__}.{cls.__qualname__}") for cls in error_classes()]


def value_for(parameter: inspect.Parameter):
    for part, value in VALUES.items():
        if part in str(parameter.annotation):
            return value
    raise AssertionError(f"VALUES has no entry for {parameter}")


def with_all_arguments(cls: type[BaseException]) -> BaseException:
    """An instance that was given every argument which its constructor documents."""
    constructor = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if not constructor.__module__.startswith("eng."):
        return cls("some text")
    parameters = list(inspect.signature(constructor.__init__).parameters.values())[1:]
    by_name = {item.name: value_for(item) for item in parameters if item.kind is item.KEYWORD_ONLY}
    return cls(*(value_for(item) for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD), **by_name)


def facts(error: BaseException):
    return (
        type(error),
        str(error),
        comparable(error.args),
        dict(zip(vars(error), comparable(vars(error).values()), strict=True)),
    )


def comparable(values):
    """Python compares exceptions by identity."""
    return [(type(value), str(value)) if isinstance(value, BaseException) else value for value in values]


def test_the_walk_reaches_all_packages():
    packages = {param.values[0].__module__.split(".")[1] for param in CLASSES}
    assert packages >= {"analysis", "checkpoint", "compat", "config", "dataset", "dist", "fileio", "infer", "model"}
    assert packages >= {"optim", "registry", "runner", "structures", "visualization", "logging"}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
def test_pickle_keeps_type_text_and_attributes(cls, protocol):
    error = with_all_arguments(cls)
    error.added_later = [1, 2]
    assert facts(pickle.loads(pickle.dumps(error, protocol))) == facts(error)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_copy_keeps_type_text_and_attributes(cls, duplicate):
    error = with_all_arguments(cls)
    error.added_later = [1, 2]
    assert facts(duplicate(error)) == facts(error)


@pytest.mark.parametrize("cls", CLASSES)
def test_message_alone_makes_an_error(cls):
    """torch's ExceptionWrapper calls ``cls(text)`` in the parent of a loader worker."""
    error = cls(TEXT)
    assert type(error) is cls
    assert str(error) == TEXT
    assert facts(pickle.loads(pickle.dumps(error))) == facts(error)


def takes_nothing(cls: type[BaseException]) -> bool:
    """Whether an instance can be made without arguments, as ``raise cls`` does."""
    constructor = next(base for base in cls.__mro__ if "__init__" in vars(base))
    if constructor.__module__ == "builtins":
        return True
    parameters = list(inspect.signature(constructor.__init__).parameters.values())[1:]
    return all(item.default is not item.empty or item.kind is item.VAR_POSITIONAL for item in parameters)


@pytest.mark.parametrize("cls", [param for param in CLASSES if takes_nothing(param.values[0])])
def test_an_error_without_arguments_prints_and_crosses(cls):
    error = cls()
    assert isinstance(str(error), str)
    assert facts(pickle.loads(pickle.dumps(error))) == facts(error)


def raise_all_arguments(path: tuple[str, str]):
    raise with_all_arguments(getattr(importlib.import_module(path[0]), path[1]))


def test_pool_raises_what_the_worker_raised():
    """multiprocessing.Pool waits for ever for a result that cannot be unpickled."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for param in CLASSES:
            cls = param.values[0]
            # A worker of a pool catches Exceptions only.
            if not issubclass(cls, Exception) or not hasattr(importlib.import_module(cls.__module__), cls.__name__):
                continue
            with pytest.raises(cls) as caught:
                pool.map_async(raise_all_arguments, [(cls.__module__, cls.__name__)]).get(timeout=20)
            assert str(caught.value) == str(with_all_arguments(cls))


class Raising(torch.utils.data.Dataset):
    """One sample per class; reading it raises an instance of the class."""

    def __len__(self):
        return len(CLASSES)

    def __getitem__(self, index):
        raise with_all_arguments(CLASSES[index].values[0])


def test_loader_worker_re_raises_the_type_with_its_text():
    """Two classes: the start of a worker per class would take a minute, and ``cls(text)`` above holds the others."""
    for index in (0, len(CLASSES) - 1):
        cls = CLASSES[index].values[0]
        batches = torch.utils.data.DataLoader(Raising(), sampler=[index], num_workers=1)
        with pytest.raises(cls, match=r"(?s)^Caught .* in DataLoader worker process 0\.\nOriginal Traceback") as caught:
            next(iter(batches))
        assert type(caught.value) is cls
