"""A stream that two ranks share is resumed where each rank stopped; on another number of ranks, the log says what is read."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from shared_stream_processes import trained_on_two_ranks
from shared_stream_ranks import EPOCHS, SAMPLES, STOPS, folder_of, seen

CASES = ["stateful, 0", "plain, 0", "plain, 2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def results(folder: Path) -> list[dict[str, Any]]:
    return trained_on_two_ranks(folder, *CASES)


@pytest.mark.timeout(160)
@pytest.mark.parametrize("case", CASES)
def test_no_sample_is_read_twice_and_none_is_lost(case: str, results: list[dict[str, Any]]) -> None:
    if case.endswith("0"):
        for rank, result in enumerate(results):
            assert result[case]["whole"] == [*range(rank, SAMPLES, 2)] * EPOCHS
    else:
        # Of four readers, those of rank 0 have seven samples, in four batches of two, and those of rank 1 six: an epoch
        # ends where the first rank has no batch left.
        counts = Counter(number for result in results for number in result[case]["whole"])
        assert counts == dict.fromkeys(range(24), EPOCHS)
    for result in results:
        for stop in STOPS:
            first, rest = result[case][str(stop)]
            assert first + rest == result[case]["whole"], f"stopped at {stop}"


@pytest.mark.parametrize(
    ("case", "stop", "is_exact"),
    [("stateful, 0", 2, True), ("plain, 0", 5, True), ("plain, 2", 2, True), ("plain, 2", 5, False)],
)
def test_on_one_rank_the_pass_continues_behind_as_many_samples_and_the_log_says_so(
    case: str, stop: int, is_exact: bool, folder: Path, results: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    start = {"load_from": str(folder_of(folder, case) / f"stopped{stop}/iter_{stop}.pth"), "resume": True}
    with caplog.at_level(logging.WARNING):
        resumed = seen(folder / f"one {case} {stop}", case, [], **start)
    consumed = 4 * stop
    workers = " with 2 workers each" if case.endswith("2") else ""
    text = (
        f"The stream was read by 2 ranks{workers} in the saved run and is now read by 1 rank{workers}: the pass continues "
        f"behind its first {consumed} samples"
    )
    assert text in caplog.text
    assert ("some samples of this pass come twice and others are left out" in caplog.text) is not is_exact
    of_pass = [number for result in results for number in result[case][str(stop)][0]]
    rest = resumed[: SAMPLES - consumed]
    assert len(resumed) == SAMPLES - consumed + SAMPLES
    assert (sorted(of_pass + rest) == list(range(SAMPLES))) is is_exact
