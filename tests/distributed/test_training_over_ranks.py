"""However many ranks share a batch, and wherever a run is stopped, it gives the numbers of one process."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed_jobs import Finished, Runs

STEPS = 50
# Two losses for an update and a checkpoint after each third: the third iteration lies inside a window.
RUN: dict[str, Any] = {
    "max_epochs": 10,
    "optim": {"accumulative_counts": 2},
    "checkpoint": {"by_epoch": False, "interval": 3, "save_last": False},
    "hooks": [{"type": "EMAHook", "momentum": 0.1}],
}
# ZeRO keeps no open window: a loss for each update, and a checkpoint inside the first epoch.
PLAIN: dict[str, Any] = {"max_epochs": 10, "checkpoint": {"by_epoch": False, "interval": 3, "save_last": False}}
FSDP = {"type": "FSDP2", "wrap_policy": {"classes": ["Block"]}}
SHARDED = {**FSDP, "checkpoint": "sharded", "reshard_after_forward": False}
BESIDE = {**RUN["checkpoint"], "async_save": True}
OFFLOAD = {"model_wrapper_cfg": {"type": "MMFullyShardedDataParallel", "cpu_offload": True}}


def zero(stage: int) -> dict[str, Any]:
    return {"type": "DeepSpeedStrategy", "zero_optimization": {"stage": stage}}


def on_from(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The run that goes on from its third iteration."""
    return {**options, "load_from": str(path / "iter_3.pth"), "resume": True}


needs_deepspeed = pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="deepspeed is not installed")
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The launches, each made when one of its runs is first asked for."""
    folder = tmp_path_factory.mktemp("runs")
    at = {name: folder / name for name in ("alone", "plain", "ddp-2", "sharded-2", "fsdp-2", "zero0", "zero2", "zero3")}
    launches = {
        "one process": (0, {"alone": RUN, "plain": PLAIN}),
        "two": (
            2,
            {
                "ddp-2": RUN,
                "fsdp-2": {**RUN, "strategy": FSDP},
                "sharded-2": {**RUN, "strategy": SHARDED, "checkpoint": BESIDE},
                "wrapper-of-the-manual-2": {**RUN, "cfg": OFFLOAD},
                "alone to ddp-2": on_from(at["alone"], RUN),
                "ddp-2 to ddp-2": on_from(at["ddp-2"], RUN),
                "sharded-2 to sharded-2": on_from(at["sharded-2"], {**RUN, "strategy": SHARDED}),
                "ddp-2 to sharded-2": on_from(at["ddp-2"], {**RUN, "strategy": SHARDED}),
            },
        ),
        "one process again": (
            0,
            {
                "ddp-2 to alone": on_from(at["ddp-2"], RUN),
                "sharded-2 to alone": on_from(at["sharded-2"], RUN),
            },
        ),
        "four": (4, {"ddp-4": RUN, "sharded-2 to fsdp-4": on_from(at["sharded-2"], {**RUN, "strategy": FSDP})}),
        "zero": (
            2,
            {
                **{f"zero{stage}": {**PLAIN, "strategy": zero(stage)} for stage in (0, 1, 2, 3)},
                "zero0 to zero0": on_from(at["zero0"], {**PLAIN, "strategy": zero(0)}),
                "zero2 to zero2": on_from(at["zero2"], {**PLAIN, "strategy": zero(2)}),
                "plain to zero1": on_from(at["plain"], {**PLAIN, "strategy": zero(1)}),
                "zero2 to zero3": on_from(at["zero2"], {**PLAIN, "strategy": zero(3)}),
                "zero3 to fsdp-2": on_from(at["zero3"], {**PLAIN, "strategy": FSDP}),
                "zero2, two losses": {**RUN, "strategy": zero(2)},
            },
        ),
    }
    needs = {"two": ["alone"], "one process again": ["ddp-2"], "four": ["ddp-2"], "zero": ["plain"]}
    return Runs(folder, launches, needs)


def assert_same(report: dict[str, Any], expected: dict[str, Any], begin: int = 0) -> None:
    """Losses, norms, rates, samples and metrics of a run from iteration ``begin`` on, and the weights at its end."""
    assert len(report["losses"]) == STEPS - begin
    for key in [key for key in ("losses", "norms", "lrs") if expected[key] is not None]:
        assert report[key][2:] == pytest.approx(expected[key][begin + 2 :], rel=1e-5, abs=1e-5), key
    assert report["losses"] == pytest.approx(expected["losses"][begin:], rel=1e-5, abs=1e-5)
    assert report["samples"] == expected["samples"][begin:]
    for ours, theirs in zip(report["metrics"], expected["metrics"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)
        assert ours["counted"] == ours["distinct"] == 13
    for name, values in expected["weights"].items():
        assert report["weights"][name] == pytest.approx(values, rel=1e-4, abs=1e-5), name


def as_told_by(name: str, report: dict[str, Any]) -> dict[str, Any]:
    """The report of one process, without norms for a run that ends on stage 0: the engine clips there without telling."""
    return {**report, "norms": None} if name.endswith("zero0") else report


@pytest.mark.parametrize("kind", ["ddp-2", "ddp-4", "fsdp-2", "sharded-2", "wrapper-of-the-manual-2"])
def test_several_ranks_give_the_numbers_of_one_process(runs: Runs, kind: str) -> None:
    assert_same(runs[kind], runs["alone"])


@needs_deepspeed
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_zero_gives_the_numbers_of_one_process(runs: Runs, stage: int) -> None:
    assert_same(runs[f"zero{stage}"], as_told_by(f"zero{stage}", runs["plain"]))
    saved, expected = (torch.load(runs.folder / name / "iter_48.pth") for name in (f"zero{stage}", "plain"))
    assert list(saved["state_dict"]) == list(expected["state_dict"])
    saved, expected = saved["optimizer"], expected["optimizer"]
    assert saved["param_groups"][0]["param_names"] == expected["param_groups"][0]["param_names"]
    for index, entry in expected["state"].items():
        assert float(saved["state"][index]["step"]) == float(entry["step"])
        for key in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(saved["state"][index][key], entry[key], rtol=1e-4, atol=1e-6)


@needs_deepspeed
def test_zero_accumulates_like_one_process(runs: Runs) -> None:
    assert_same(runs["zero2, two losses"], runs["alone"])


@needs_deepspeed
@pytest.mark.parametrize(
    "name", ["zero0 to zero0", "zero2 to zero2", "plain to zero1", "zero2 to zero3", "zero3 to fsdp-2"]
)
def test_zero_goes_on_from_any_strategy_and_any_from_zero(runs: Runs, name: str) -> None:
    assert_same(runs[name], as_told_by(name, runs["plain"]), begin=3)


@pytest.mark.parametrize(
    "name",
    [
        "alone to ddp-2",
        "ddp-2 to alone",
        "ddp-2 to ddp-2",
        "ddp-2 to sharded-2",
        "sharded-2 to alone",
        "sharded-2 to sharded-2",
        "sharded-2 to fsdp-4",
    ],
)
def test_a_run_goes_on_inside_a_window_on_other_ranks_and_strategies(runs: Runs, name: str) -> None:
    resumed, whole = runs[name], runs["alone"]
    assert_same(resumed, whole, begin=3)
    rest = sorted(i for batch in resumed["samples"][:2] for i in batch)
    assert rest == sorted(set(range(40)) - {i for batch in whole["samples"][:3] for i in batch})


def test_a_checkpoint_of_shards_has_the_plain_names_and_becomes_one_safe_file(runs: Runs, tmp_path: Path) -> None:
    from eng.runner.strategy import export_to_file

    assert runs["sharded-2"]["iter"] == runs["alone"]["iter"] == STEPS
    export_to_file(str(runs.folder / "sharded-2" / "iter_48.pth"), str(tmp_path / "one.pth"))
    exported = torch.load(tmp_path / "one.pth")
    expected = torch.load(runs.folder / "alone" / "iter_48.pth")
    assert list(exported["state_dict"]) == list(expected["state_dict"])
    for part in ("state_dict", "ema_state_dict"):
        for name, value in expected[part].items():
            torch.testing.assert_close(exported[part][name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_full_checkpoint_of_shards_is_like_that_of_one_process(runs: Runs) -> None:
    assert runs["fsdp-2"]["iter"] == runs["alone"]["iter"] == STEPS
    ours, expected = (torch.load(runs.folder / kind / "iter_48.pth") for kind in ("fsdp-2", "alone"))
    assert ours.keys() == expected.keys()
    for part in ("state_dict", "ema_state_dict"):
        assert ours[part].keys() == expected[part].keys()
        for name, value in expected[part].items():
            torch.testing.assert_close(ours[part][name], value, rtol=1e-4, atol=1e-5, msg=name)
    for index, entry in expected["optimizer"]["state"].items():
        torch.testing.assert_close(ours["optimizer"]["state"][index]["exp_avg"], entry["exp_avg"], rtol=1e-4, atol=1e-6)


def test_a_kill_while_a_process_writes_shards_leaves_the_checkpoint_before(
    runs: Runs, job: Callable[..., Finished]
) -> None:
    thread, options = runs["sharded-2"], {**RUN, "checkpoint": {**RUN["checkpoint"], "async_save": "process"}}
    trouble = {"trouble": "kill", "trouble_iter": 6, "stop_save": "iter_6.pth"}
    done = job("killed", 2, restarts=1, timeout=400, strategy=SHARDED, **options, **trouble, dist={"timeout": 60})
    assert_same(done.report, runs["alone"], begin=3)
    assert done.report["losses"] == thread["losses"][3:]
    for name in ("iter_3.pth", "iter_6.pth", "iter_48.pth"):
        theirs, ours = (runs.folder / "sharded-2" / name, Path(done.folder, "work", name))
        files = sorted(path.name for path in theirs.glob("*.distcp"))
        assert len(files) == 2
        assert [(ours / file).read_bytes() for file in files] == [(theirs / file).read_bytes() for file in files]
