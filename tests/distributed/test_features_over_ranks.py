"""What is switched on for one process works on several, the same with each strategy."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import pytest
import torch
from distributed_jobs import Runs

HAS_DEEPSPEED = importlib.util.find_spec("deepspeed") is not None
FSDP = {"type": "FSDP2", "wrap_policy": {"classes": ["Block"]}}
ZERO = {"type": "DeepSpeedStrategy", "zero_optimization": {"stage": 2}}
STRATEGIES: dict[str, Any] = {"ddp": None, "fsdp": FSDP, "zero": ZERO}
NEEDS_DEEPSPEED = pytest.mark.skipif(not HAS_DEEPSPEED, reason="needs deepspeed")
KINDS = ["ddp", "fsdp", pytest.param("zero", marks=NEEDS_DEEPSPEED)]
SHORT: dict[str, Any] = {"max_epochs": 2, "checkpoint": {"interval": 2}}
STEPS = 10

AMP = {"type": "AmpOptimWrapper", "dtype": "bfloat16"}
NORM = {**SHORT, "model": {"norm": True}}
BROKEN = {**SHORT, "nan_policy": "skip", "trouble": "break", "trouble_iter": 3}
GAME = {
    **SHORT,
    "model": {"kind": "game"},
    "optim_wrapper": {
        "constructor": "PartsForTest",
        **{part: {"optimizer": {"type": "Adam", "lr": 0.01}} for part in ("generator", "discriminator")},
    },
    "param_scheduler": None,
}
AVERAGED = {**SHORT, "hooks": [{"type": "EMAHook", "momentum": 0.1}]}
STATISTICS = {**NORM, "hooks": [{"type": "EMAHook", "momentum": 0.1, "bn_batches": 3}]}
ONE = {
    "plain": SHORT,
    "two losses": {**SHORT, "optim": {"accumulative_counts": 2}},
    "amp": {**SHORT, "optim": AMP},
    "norm": NORM,
    "game": GAME,
    "broken": BROKEN,
    "broken, not clipped": {**BROKEN, "optim": {"clip_grad": None}},
    "averaged": AVERAGED,
}


def wrapped(**options: Any) -> dict[str, Any]:
    return {"cfg": {"model_wrapper_cfg": {"type": "MMDistributedDataParallel", **options}}}


def jobs_of(name: str) -> dict[str, dict[str, Any]]:
    """The runs that every strategy makes."""
    strategy = {"strategy": STRATEGIES[name]}
    half = {"ddp": {"optim": AMP}, "fsdp": {"optim": AMP}, "zero": {"strategy": {**ZERO, "bf16": {"enabled": True}}}}
    runs: dict[str, dict[str, Any]] = {
        "half": half[name],
        "recomputed": {"activation_checkpointing": ["blocks.0", "blocks.1", "blocks.2"]},
        "broken": BROKEN,
        "broken, not clipped": {**BROKEN, "optim": {"clip_grad": None}},
        "compiled": {"compile": True},
        "averaged": AVERAGED,
    }
    return {f"{name} {kind}": {**SHORT, **strategy, **options} for kind, options in runs.items()}


def on_zero(stage: int, options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "strategy": {**ZERO, "zero_optimization": {"stage": stage}}}


LAUNCHES = {
    "one process": (0, ONE),
    "ddp": (
        2,
        {
            "norm by the config": {**NORM, "cfg": {"sync_bn": "torch"}},
            "norm by the strategy": {**NORM, "strategy": {"type": "DDPStrategy", "sync_bn": "torch"}},
            "norm over shards": {**NORM, "strategy": FSDP, "cfg": {"sync_bn": "torch"}},
            "game": {**GAME, "cfg": {"model_wrapper_cfg": {"type": "MMSeparateDistributedDataParallel"}}},
            "unused": {**SHORT, "model": {"unused": True}},
            "unused, let be": {**SHORT, "model": {"unused": True}, "cfg": {"find_unused_parameters": True}},
            "static graph": {**SHORT, **wrapped(static_graph=True)},
            "bucket views": {**SHORT, **wrapped(gradient_as_bucket_view=True, find_unused_parameters=True)},
            "fsdp in bfloat16": {**SHORT, "strategy": {**FSDP, "mixed_precision": {"param_dtype": "bfloat16"}}},
            "fsdp, no_sync": {**ONE["two losses"], "strategy": {**FSDP, "no_sync": True}},
            "fsdp by size": {**SHORT, "strategy": {"type": "FSDP2", "wrap_policy": {"min_params": 200}}},
            "fsdp by name": {**SHORT, "strategy": {"type": "FSDP2", "wrap_policy": {"names": ["blocks.*", "head"]}}},
            "ddp statistics": {**STATISTICS, "cfg": {"sync_bn": "torch"}},
            "ddp statistics, left": {**STATISTICS, "hooks": AVERAGED["hooks"], "cfg": {"sync_bn": "torch"}},
            "fsdp statistics": {**STATISTICS, "strategy": FSDP, "cfg": {"sync_bn": "torch"}},
            **jobs_of("fsdp"),
            **jobs_of("ddp"),
        },
    ),
    "zero": (2, {**jobs_of("zero"), **{f"zero{stage} averaged": on_zero(stage, AVERAGED) for stage in (1, 3)}}),
}
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    jobs = {
        launch: (ranks, {f"alone {name}" if ranks == 0 else name: job for name, job in made.items()})
        for launch, (ranks, made) in LAUNCHES.items()
    }
    return Runs(tmp_path_factory.mktemp("features"), jobs)


def assert_same(report: dict[str, Any], expected: dict[str, Any], close: float = 1e-5) -> None:
    assert len(report["losses"]) == STEPS
    assert report["losses"] == pytest.approx(expected["losses"], rel=close, abs=close)
    assert list(report["weights"]) == list(expected["weights"])
    for name, values in expected["weights"].items():
        assert report["weights"][name] == pytest.approx(values, rel=10 * close, abs=10 * close), name
    for ours, theirs in zip(report["metrics"], expected["metrics"], strict=True):
        assert ours == pytest.approx(theirs, rel=10 * close, abs=10 * close)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_computes_in_half_and_keeps_whole_weights(runs: Runs, kind: str) -> None:
    half = runs[f"{kind} half"]
    assert "bfloat16" in half["dtypes"]
    assert half["kinds"] == ["float32"]
    assert half["losses"] == pytest.approx(runs["alone amp"]["losses"], rel=0.05)
    assert half["losses"] != pytest.approx(runs["alone plain"]["losses"], rel=1e-6)


def test_shards_in_half_precision_compute_in_it(runs: Runs) -> None:
    half = runs["fsdp in bfloat16"]
    assert half["dtypes"] == ["bfloat16"]
    assert half["kinds"] == ["float32"]
    assert half["losses"] == pytest.approx(runs["alone plain"]["losses"], rel=0.05)


def test_statistics_of_an_average_over_shards_are_those_of_copies(runs: Runs) -> None:
    shards, copies, left = runs["fsdp statistics"], runs["ddp statistics"], runs["ddp statistics, left"]
    assert_same(shards, copies)
    for name in ("losses", "weights"):  # training does not notice
        assert copies[name] == left[name]
    errors = [[metrics["error"] for metrics in report["metrics"]] for report in (copies, left)]
    assert errors[0] != pytest.approx(errors[1], rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_recomputed_activations_change_no_number(runs: Runs, kind: str) -> None:
    recomputed, plain = runs[f"{kind} recomputed"], runs["alone plain"]
    assert_same(recomputed, plain)
    evaluated = 3 * 2 * math.ceil(13 / 8)  # three blocks, two validations; half the ranks see half the batch
    assert recomputed["calls"] == 2 * 3 * STEPS + evaluated
    assert plain["calls"] == 3 * STEPS + evaluated


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_models_keep_their_names_and_numbers(runs: Runs, kind: str) -> None:
    compiled = runs[f"{kind} compiled"]
    assert compiled["graphs"] > 0
    assert_same(compiled, runs["alone plain"])


@pytest.mark.parametrize("clipped", ["broken", "broken, not clipped"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_that_breaks_on_one_rank_is_refused_on_all(runs: Runs, kind: str, clipped: str) -> None:
    refused, alone = runs[f"{kind} {clipped}"], runs[f"alone {clipped}"]
    assert all(math.isfinite(value) for values in refused["weights"].values() for value in values)
    assert_same(refused, alone)
    # the step after the broken one has the weights of the one before it
    assert alone["losses"] != pytest.approx(runs["alone plain"]["losses"], rel=1e-4)


@pytest.mark.parametrize("kind", [*KINDS, pytest.param("zero1", marks=NEEDS_DEEPSPEED)])
def test_averages_of_weights_are_those_of_one_process(runs: Runs, kind: str) -> None:
    assert_same(runs[f"{kind} averaged"], runs["alone averaged"])
    ours, theirs = (torch.load(runs.folder / name / "epoch_2.pth") for name in (f"{kind} averaged", "alone averaged"))
    assert list(ours["ema_state_dict"]) == list(theirs["ema_state_dict"])
    for name, value in theirs["ema_state_dict"].items():
        torch.testing.assert_close(ours["ema_state_dict"][name], value, rtol=1e-4, atol=1e-5, msg=name)


@NEEDS_DEEPSPEED
def test_parts_of_stage_3_that_cannot_be_averaged_are_told(runs: Runs) -> None:
    assert "stage 3 keeps parameters in parts" in runs.of("zero3 averaged")["error"]


@pytest.mark.parametrize("kind", ["norm by the config", "norm by the strategy", "norm over shards"])
def test_synchronised_normalisation_sees_the_whole_batch(runs: Runs, kind: str) -> None:
    assert_same(runs[kind], runs["alone norm"])
    assert "stem.1.running_var" in runs[kind]["weights"]


def test_parts_with_optimizers_of_their_own_train_as_on_one_process(runs: Runs) -> None:
    assert_same(runs["game"], runs["alone game"])


def test_unused_parameters_are_named_with_their_module(runs: Runs) -> None:
    error = runs.of("unused")["error"]
    assert "2 parameters took no part in the last loss: spare.weight, spare.bias (in spare)" in error
    assert "find_unused_parameters=True" in error


def test_unused_parameters_may_be_let_be(runs: Runs) -> None:
    found, plain = runs["unused, let be"], runs["alone plain"]
    assert found["losses"][0] == pytest.approx(plain["losses"][0], rel=0.5)
    assert len(found["losses"]) == STEPS
    assert found["losses"][-1] < found["losses"][0]


@pytest.mark.parametrize(
    ("kind", "alone"),
    [
        ("static graph", "plain"),
        ("bucket views", "plain"),
        ("fsdp, no_sync", "two losses"),
        ("fsdp by size", "plain"),
        ("fsdp by name", "plain"),
    ],
)
def test_options_of_wrappers_change_no_number(runs: Runs, kind: str, alone: str) -> None:
    assert_same(runs[kind], runs[f"alone {alone}"])
