"""However many ranks share a batch, and wherever a run is stopped, it gives the numbers of one process."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed_jobs import HERE, Finished, run_job

STEPS = 50
# Two losses for an update and a checkpoint after each third: the third iteration lies inside a window.
RUN: dict[str, Any] = {
    "max_epochs": 10,
    "optim": {"accumulative_counts": 2},
    "checkpoint": {"by_epoch": False, "interval": 3, "save_last": False},
    "hooks": [{"type": "EMAHook", "momentum": 0.1}],
}
FSDP = {"type": "FSDP2", "wrap_policy": {"classes": ["Block"]}}
ZERO = {"type": "DeepSpeedStrategy", "zero_optimization": {"stage": 2}}
KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "alone": (0, {}),
    "ddp-2": (2, {}),
    "ddp-4": (4, {}),
    "fsdp-2": (2, {"strategy": FSDP}),
    "fsdp-2-sharded-files": (2, {"strategy": {**FSDP, "checkpoint": "sharded", "reshard_after_forward": False}}),
    "wrapper-of-the-manual-2": (
        2,
        {"cfg": {"model_wrapper_cfg": {"type": "MMFullyShardedDataParallel", "cpu_offload": True}}},
    ),
    "zero2-2": (2, {"strategy": ZERO, "hooks": []}),
}
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Finished, Path]]:
    """The whole run on a kind of ranks, made when it is first asked for."""
    done: dict[str, tuple[Finished, Path]] = {}

    def of(kind: str) -> tuple[Finished, Path]:
        if kind not in done:
            ranks, options = KINDS[kind]
            folder = tmp_path_factory.mktemp(kind)
            finished = run_job(HERE / "training_job.py", folder, ranks, {**RUN, **options}, timeout=90)
            assert finished.code == 0, finished.output[-4000:]
            done[kind] = finished, folder / "work"
        return done[kind]

    return of


def assert_same(report: dict[str, Any], expected: dict[str, Any], begin: int = 0) -> None:
    """Losses, norms, rates, samples and metrics of a run from iteration ``begin`` on, and the weights at its end."""
    assert len(report["losses"]) == STEPS - begin
    for key in ("losses", "norms", "lrs"):
        assert report[key][-1:] == pytest.approx(expected[key][-1:], rel=1e-5, abs=1e-5)
        assert report[key][2:] == pytest.approx(expected[key][begin + 2 :], rel=1e-5, abs=1e-5), key
    assert report["losses"] == pytest.approx(expected["losses"][begin:], rel=1e-5, abs=1e-5)
    assert report["samples"] == expected["samples"][begin:]
    for ours, theirs in zip(reversed(report["metrics"]), reversed(expected["metrics"]), strict=False):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)
        assert ours["counted"] == ours["distinct"] == 13
    for name, values in expected["weights"].items():
        assert report["weights"][name] == pytest.approx(values, rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("alone", "zero2-2")])
def test_several_ranks_give_the_numbers_of_one_process(runs: Any, kind: str) -> None:
    assert_same(runs(kind)[0].report, runs("alone")[0].report)


@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed")
def test_zero_gives_the_numbers_of_one_process(tmp_path: Path) -> None:
    options = {"max_epochs": 10, "checkpoint": {"interval": 10}}
    alone = run_job(HERE / "training_job.py", tmp_path / "alone", 0, options)
    zero = run_job(HERE / "training_job.py", tmp_path / "zero", 2, {**options, "strategy": ZERO}, timeout=110)
    assert zero.code == 0, zero.output[-3000:]
    assert_same(zero.report, alone.report)
    saved = torch.load(tmp_path / "zero" / "work" / "epoch_10.pth")["optimizer"]
    expected = torch.load(tmp_path / "alone" / "work" / "epoch_10.pth")["optimizer"]
    assert saved["param_groups"][0]["param_names"] == expected["param_groups"][0]["param_names"]
    for index, entry in expected["state"].items():
        torch.testing.assert_close(saved["state"][index]["exp_avg"], entry["exp_avg"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("saved_by", "goes_on_as"),
    [
        ("alone", "ddp-2"),
        ("ddp-2", "alone"),
        ("ddp-2", "ddp-2"),
        ("fsdp-2-sharded-files", "alone"),
        ("fsdp-2-sharded-files", "fsdp-2-sharded-files"),
    ],
)
def test_a_run_goes_on_inside_a_window_on_other_ranks_and_strategies(
    runs: Any, tmp_path: Path, saved_by: str, goes_on_as: str
) -> None:
    ranks, options = KINDS[goes_on_as]
    begin = {"load_from": str(runs(saved_by)[1] / "iter_3.pth"), "resume": True}
    resumed = run_job(HERE / "training_job.py", tmp_path, ranks, {**RUN, **options, **begin})
    assert resumed.code == 0, resumed.output[-4000:]
    assert_same(resumed.report, runs("alone")[0].report, begin=3)
    assert sorted(i for batch in resumed.report["samples"][:2] for i in batch) == sorted(
        set(range(40)) - {i for batch in runs("alone")[0].report["samples"][:3] for i in batch}
    )


def test_a_checkpoint_of_shards_has_the_plain_names_and_becomes_one_safe_file(runs: Any, tmp_path: Path) -> None:
    from eng.runner.strategy import export_to_file

    export_to_file(str(runs("fsdp-2-sharded-files")[1] / "iter_48.pth"), str(tmp_path / "one.pth"))
    exported = torch.load(tmp_path / "one.pth")
    expected = torch.load(runs("alone")[1] / "iter_48.pth")
    assert list(exported["state_dict"]) == list(expected["state_dict"])
    for part in ("state_dict", "ema_state_dict"):
        for name, value in expected[part].items():
            torch.testing.assert_close(exported[part][name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_full_checkpoint_of_shards_is_like_that_of_one_process(runs: Any) -> None:
    ours, expected = (torch.load(runs(kind)[1] / "iter_48.pth") for kind in ("fsdp-2", "alone"))
    assert ours.keys() == expected.keys()
    for part in ("state_dict", "ema_state_dict"):
        assert ours[part].keys() == expected[part].keys()
    for index, entry in expected["optimizer"]["state"].items():
        torch.testing.assert_close(ours["optimizer"]["state"][index]["exp_avg"], entry["exp_avg"], rtol=1e-4, atol=1e-6)
