"""The fingerprint of a dataset: the same in each process, and another where the data is another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eng.runner.passport.data import data_facts, fingerprint
from eng.runner.passport.facts import differing, unknown_lines

# Attributes whose order, addresses and paths differ between processes that read the same data.
SCRIPT = """
import functools, logging, random, tempfile, time, uuid
from pathlib import Path
import library
from eng.logging import MMLogger
from eng.runner.passport.data import fingerprint

class Key: ...
class Plain: ...
class Dataset:
    def __init__(self, name):
        extensions = [".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif"]
        folder = tempfile.mkdtemp()
        logger = logging.getLogger(name)
        logger.addHandler(logging.FileHandler(f"{folder}/{name}.log"))
        self.value = {
            "tuple of a set": tuple(set(extensions)),
            "list of a set": list(set(extensions)),
            "set": set(extensions),
            "set of objects": {Key(), Key(), Plain()},
            "set of tuples": {(each, 1) for each in extensions},
            "dict in the order of a set": {each: len(each) for each in set(extensions)},
            "object as key": {Key(): 1, Plain(): 2},
            "default repr": repr(Key()),
            "lambda": lambda sample: sample,
            "partial": functools.partial(len),
            "temporary folder": folder,
            "path in it": Path(folder, "cache.bin"),
            "logger": logger,
            "named instance": MMLogger.get_instance(name),
            "time": time.time(),
            "id": uuid.uuid4(),
            "iterator": iter([random.random()]),
            "stream of a library": library.Stream(),
            "subclass of a library's stream": type("Own", (library.Stream,), {})(),
        }[NAME]

print(fingerprint(Dataset(f"run of process {__import__('os').getpid()}")))
"""
NAMES = [line.partition('"')[2].partition('"')[0] for line in SCRIPT.splitlines() if line.startswith(" " * 12 + '"')]
# A package as pip installs it, whose objects keep random numbers, counters and caches beside what they read.
LIBRARY = """
import random
class Stream:
    def __init__(self, *files):
        self.files, self.seed, self._cache = files, random.random(), {str(random.random()): object()}
    def __iter__(self):
        return iter(())
class Table:
    def __init__(self, column):
        self._id, self._column = random.random(), column
    def __len__(self):
        return len(self._column)
    def __getitem__(self, index):
        return self._column[index]
"""
ALL = "import sys\nfor NAME in sys.argv[1:]:\n" + "".join(f"    {line}\n" for line in SCRIPT.splitlines())


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of installed packages that holds the library."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    (folder / "library.py").write_text(LIBRARY, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop("library", None)


def test_it_is_the_same_in_each_process(tmp_path: Path, library: Path) -> None:
    printed = []
    for seed in "12":
        paths = os.pathsep.join([str(library), *filter(None, [os.environ.get("PYTHONPATH")])])
        environ = {**os.environ, "PYTHONHASHSEED": seed, "TMPDIR": str(tmp_path), "PYTHONPATH": paths}
        command = [sys.executable, "-c", ALL, *NAMES]
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=170, check=False)
        assert done.returncode == 0, done.stderr
        printed.append(dict(zip(NAMES, done.stdout.split(), strict=True)))
    differing = [name for name in NAMES if len({each[name] for each in printed}) > 1]
    assert len(NAMES) == 19
    assert differing == []


class Dataset:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def __len__(self) -> int:
        return 3


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (dict(extensions=(".jpg", ".png")), dict(extensions=(".jpg", ".tif"))),
        (dict(files=["a", "b", "c"]), dict(files=["b", "a", "c"])),
        (dict(metainfo=dict(classes=("cat", "dog"))), dict(metainfo=dict(classes=("dog", "cat")))),
        (dict(numbers=[1, 2]), dict(numbers=[2, 1])),
        (dict(names={"a", "b"}), dict(names={"a", "c"})),
        (dict(ids={"a": 1, "b": 2}), dict(ids={"a": 2, "b": 1})),
        (dict(root="/data/one"), dict(root="/data/two")),
        (dict(pairs=[["a", "b"]]), dict(pairs=[["b", "a"]])),
    ],
    ids=lambda value: next(iter(value)),
)
def test_it_is_another_for_other_data(before: dict[str, Any], now: dict[str, Any]) -> None:
    assert fingerprint(Dataset(**before)) == fingerprint(Dataset(**before))
    assert fingerprint(Dataset(**before)) != fingerprint(Dataset(**now))


def test_a_stream_whose_samples_cannot_be_compared_is_said_to_be_unknown(library: Path) -> None:
    from library import Stream

    before, now = {"data": data_facts(Stream())}, {"data": data_facts(Stream())}
    assert differing(before, now) == []
    assert unknown_lines(before, now) == [
        "data, samples of Stream: unknown whether they are the same, as they are known only when they are read"
    ]
    assert unknown_lines({"data": data_facts(Dataset(numbers=[1]))}, {"data": data_facts(Dataset(numbers=[2]))}) == []


def test_files_and_arrays_of_a_library_count(library: Path, tmp_path: Path) -> None:
    from library import Stream, Table

    shard = tmp_path / "shard.tar"
    shard.write_bytes(b"abc")
    before, same = (data_facts(Dataset(source=Stream(str(shard)))) for _ in range(2))
    shard.write_bytes(b"abcd")
    assert before == same != data_facts(Dataset(source=Stream(str(shard))))
    assert before["unknown"] == []
    assert fingerprint(Table(np.arange(9))) == fingerprint(Table(np.arange(9))) != fingerprint(Table(np.arange(9) + 1))
    half = torch.arange(9, dtype=torch.bfloat16)
    assert fingerprint(Table(half)) == fingerprint(Table(half.clone())) != fingerprint(Table(half + 1))


def test_fingerprints_that_were_taken_in_another_way_are_not_compared() -> None:
    now = {"data": data_facts(Dataset(numbers=[1]))}
    before = {"data": {"type": "Dataset", "length": 4, "fingerprint": "of another version"}}
    assert differing(before, now) == [("data", "length", "4", "3")]
    assert unknown_lines(before, now) == [
        "data, fingerprint: unknown whether the data are the same, as another version of eng-runner recorded them"
    ]
