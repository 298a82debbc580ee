"""The fingerprint of a dataset: the same in each process, and another where the data is another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eng.runner.passport.data import fingerprint

# Attributes whose order, addresses and paths differ between processes that read the same data.
SCRIPT = """
import functools, logging, tempfile
from pathlib import Path
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
        }[NAME]

print(fingerprint(Dataset(f"run of process {__import__('os').getpid()}")))
"""
NAMES = [line.partition('"')[2].partition('"')[0] for line in SCRIPT.splitlines() if line.startswith(" " * 12 + '"')]
ALL = "import sys\nfor NAME in sys.argv[1:]:\n" + "".join(f"    {line}\n" for line in SCRIPT.splitlines())


def test_it_is_the_same_in_each_process(tmp_path: Path) -> None:
    printed = []
    for seed in "12":
        environ = {**os.environ, "PYTHONHASHSEED": seed, "TMPDIR": str(tmp_path)}
        command = [sys.executable, "-c", ALL, *NAMES]
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=170, check=False)
        assert done.returncode == 0, done.stderr
        printed.append(dict(zip(NAMES, done.stdout.split(), strict=True)))
    differing = [name for name in NAMES if len({each[name] for each in printed}) > 1]
    assert len(NAMES) == 14
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
