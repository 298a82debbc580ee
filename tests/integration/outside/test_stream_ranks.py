"""Streams on two ranks with two workers each: each sample comes once per epoch, or the run says that it does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from data_runs import SAMPLES, sample

DRIVER = Path(__file__).with_name("stream_ranks.py")
NEEDS = {"datasets": "datasets", "datasets, shared": "datasets", "webdataset": "webdataset"}
CASES = ["own", "plain", "plain, shared", *NEEDS]
IS_REPEATED = {"plain": 4, "datasets": 2}  # how many readers give each sample


def write_shards(folder: Path) -> None:
    import webdataset as wds

    for number in range(4):
        with wds.TarWriter(str(folder / f"shard-{number}.tar")) as sink:
            for index in range(number * 6, number * 6 + 6):
                sink.write({"__key__": f"{index:04d}", "json": json.dumps(sample(index)).encode()})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two ranks trained on, and was told, by the case."""
    folder = tmp_path_factory.mktemp("ranks")
    if find_spec("webdataset") is not None:
        write_shards(folder)
    names = [name for name in CASES if name not in NEEDS or find_spec(NEEDS[name]) is not None]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}
    logs = [(folder / f"log{rank}.txt").open("w") for rank in range(2)]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(DRIVER), str(folder), *names],
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=logs[rank],
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        for rank in range(2)
    ]
    try:
        for process in ranks:
            process.wait(timeout=140)
    finally:
        for process, log in zip(ranks, logs, strict=True):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            log.close()
    texts = [(folder / f"log{rank}.txt").read_text()[-3000:] for rank in range(2)]
    assert [process.returncode for process in ranks] == [0, 0], "\n".join(texts)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.timeout(160)
@pytest.mark.parametrize("name", CASES)
def test_each_sample_comes_once_or_the_run_says_so(name: str, results: list[dict[str, Any]]) -> None:
    if name not in results[0]:
        pytest.skip(f"{NEEDS[name]} is not installed")
    counts = Counter(number for rank in results for number in rank[name]["seen"])
    assert counts == dict.fromkeys(range(SAMPLES), 2 * IS_REPEATED.get(name, 1))
    for rank in results:
        assert any("shard_stream=True" in text for text in rank[name]["messages"]) is (name in IS_REPEATED)


@pytest.mark.timeout(160)
def test_a_stream_of_datasets_is_resumed_where_each_rank_stopped(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    sys.path.insert(0, str(Path(__file__).parents[3] / "packages/runner/tests/runner"))
    from shared_stream_processes import trained_on_two_ranks

    cases = ("datasets, 0", "datasets, 2")
    results = trained_on_two_ranks(tmp_path, *cases)
    # The shards of six, seven, six and seven samples go to the ranks in turns, and an epoch ends where a rank has no batch.
    assert [result["datasets, 0"]["whole"] for result in results] == [
        [*range(6), *range(13, 19)] * 2,
        [*range(6, 13), *range(19, 24)] * 2,
    ]
    for result in results:
        for case in cases:
            assert len(result[case]["whole"]) == 2 * len(set(result[case]["whole"]))
            for stop in ("2", "5", "7"):
                first, rest = result[case][stop]
                assert first + rest == result[case]["whole"], (case, stop)
