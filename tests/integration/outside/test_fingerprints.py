"""The facts of the data of other libraries are the same in each process, and others where a file is another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from test_data_libraries import LIBRARIES

from eng.runner.passport.data import data_facts

SCRIPT = """
import json, sys
from pathlib import Path
from test_data_libraries import LIBRARIES
from eng.runner.passport.data import data_facts

facts = {}
for name, prepare in LIBRARIES.items():
    loader = prepare(Path(sys.argv[1], name), 0)()[0]
    facts[name] = data_facts(loader if hasattr(loader, "dataset") else type("Loader", (), loader))
print("FACTS", json.dumps(facts))
"""


def facts_of(folder: Path, hash_seed: str) -> subprocess.Popen[str]:
    environ = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        "HF_DATASETS_OFFLINE": "1",
        "HF_HOME": str(folder / "cache"),
    }
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )  # fmt: skip


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    output = process.communicate(timeout=300)[0]
    facts: dict[str, Any] = json.loads(output.partition("FACTS ")[2])
    return facts


def test_the_facts_are_the_same_in_each_process_and_tell_a_changed_file(tmp_path: Path) -> None:
    first = answer(facts_of(tmp_path, "1"))  # writes the files
    second = answer(facts_of(tmp_path, "2"))
    assert first == second
    assert list(first) == list(LIBRARIES)
    streams = {"datasets streaming", "datasets streaming, shuffled", "StatefulDataLoader over a stream", "litdata"}
    assert {name for name, facts in first.items() if facts["unknown"]} == streams
    loader = LIBRARIES["webdataset"](tmp_path / "webdataset", 0)()[0]
    assert data_facts(loader) == first["webdataset"]
    shard = next((tmp_path / "webdataset").rglob("*.tar"))
    shard.write_bytes(shard.read_bytes() + b"\0" * 512)
    assert data_facts(loader)["fingerprint"] != first["webdataset"]["fingerprint"]
