"""Ranks that share the sequences of a batch give the numbers of one process, and go on from its checkpoint and it from theirs.

One shape runs by default. With ENG_MESH_ALL=1 (`nox -s mesh`) all shapes and modes run.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from distributed_jobs import Runs

Shape = tuple[int, int, int, int]  # replicate, shard, context, tensor

ALL = os.environ.get("ENG_MESH_ALL") == "1"
EPOCHS = 10 if ALL else 2
SAVED = 45 if ALL else 3  # inside an accumulation window
TWO: Shape = (1, 1, 2, 1)
SHAPES: list[Shape] = [TWO]
if ALL:
    SHAPES = [TWO, (1, 2, 2, 1), (2, 1, 2, 1), (1, 1, 4, 1), (1, 1, 2, 2), (1, 2, 2, 2)]
PLAN = dict.fromkeys(("blocks.*.query", "blocks.*.key", "blocks.*.value"), "colwise") | {"blocks.*.out": "rowwise"}
RUN: dict[str, Any] = {
    "max_epochs": EPOCHS,
    "model": {"kind": "gpt", "counts": False},
    "optim": {"accumulative_counts": 2},
    "loader": {"global_batch_size": 8, "collate_fn": {"type": "default_collate"}},
    "checkpoint": {"by_epoch": False, "interval": SAVED, "save_last": False},
    "hooks": [{"type": "EMAHook", "momentum": 0.1}],
}
AMP = {"optim": {**RUN["optim"], "type": "AmpOptimWrapper", "dtype": "bfloat16"}}
COUNTED = {
    "model": {"kind": "gpt"}
}  # the loss is a mean over some of the tokens, whose number differs from rank to rank
# What a run does besides, and how far its losses may lie from those of one process: bfloat16 has 8 bits.
MODES: dict[str, tuple[dict[str, Any], float]] = {
    "float32": ({}, 1e-5),
    "counted": (COUNTED, 1e-5),
    "compiled": ({"compile": True}, 1e-5),
    "amp": (AMP, 2e-2),
}
USED = list(MODES) if ALL else ["counted"]

pytestmark = pytest.mark.timeout(1200 if ALL else 300)


def on_mesh(shape: Shape) -> dict[str, Any]:
    """A run on a mesh; activations of a block are computed again, and those that shard save in shards."""
    strategy: dict[str, Any] = {
        "type": "Mesh",
        **dict(zip(("replicate", "shard", "context", "tensor"), shape, strict=True)),
        "wrap_policy": {"classes": ["AttentionBlock"]},
        "checkpoint": "sharded" if shape[1] == 2 else "full",
    }
    if shape[3] > 1:
        strategy["tensor_plan"] = PLAN
    return {**RUN, "strategy": strategy, "activation_checkpointing": ["blocks.0"]}


def modes_of(shape: Shape) -> list[str]:
    """The modes of a shape; guards of DTensors over three axes fail in torch 2.13 also where shapes are fixed."""
    if shape[1] > 1 and shape[3] > 1:
        return [mode for mode in USED if mode != "compiled"]
    return USED


def in_mode(shape: Shape, mode: str) -> dict[str, Any]:
    options = {**on_mesh(shape), **MODES[mode][0]}
    if mode == "compiled" and shape[3] > 1:
        # Validation has other shapes than training, and torch 2.13 fails in the guards of DTensors of any shape.
        options["compile"] = {"dynamic": False}
    return options


def ranks_of(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2] * shape[3]


def name_of(shape: Shape) -> str:
    return "mesh " + "x".join(map(str, shape))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("context")

    def resumed(source: str, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "load_from": str(folder / source / f"iter_{SAVED}.pth"), "resume": True}

    launches: dict[str, tuple[int, dict[str, Any]]] = {
        "one process": (0, {f"alone, {mode}": {**RUN, **MODES[mode][0]} for mode in USED})
    }
    needs: dict[str, list[str]] = {}
    for ranks in sorted({ranks_of(shape) for shape in SHAPES}):
        shapes = [shape for shape in SHAPES if ranks_of(shape) == ranks]
        jobs = {f"{name_of(shape)}, {mode}": in_mode(shape, mode) for shape in shapes for mode in modes_of(shape)}
        resumes = {
            f"alone to {name_of(shape)}": resumed("alone, counted", {**on_mesh(shape), **COUNTED}) for shape in shapes
        }
        launches[f"{ranks} ranks"] = (ranks, {**jobs, **resumes})
        needs[f"{ranks} ranks"] = ["alone, counted"]
    back = {f"{name_of(shape)} to alone": resumed(f"{name_of(shape)}, counted", {**RUN, **COUNTED}) for shape in SHAPES}
    launches["one process again"] = (0, back)
    needs["one process again"] = [f"{name_of(shape)}, counted" for shape in SHAPES]
    return Runs(folder, launches, needs, timeout=1000 if ALL else 250)


def assert_same(shape: Shape, mode: str, report: dict[str, Any], expected: dict[str, Any], begin: int = 0) -> None:
    """Losses, norms, samples, metrics and weights from iteration `begin` on.

    The report has the plain mean of the losses of all shares of the data, which is not that of counted tokens.
    """
    assert len(report["losses"]) == 5 * EPOCHS - begin
    if mode != "counted" or shape[0] * shape[1] == 1:
        assert report["losses"] == pytest.approx(expected["losses"][begin:], rel=1e-5, abs=1e-5)
    assert report["norms"][2:] == pytest.approx(expected["norms"][begin + 2 :], rel=1e-5, abs=1e-5)
    assert report["samples"] == expected["samples"][begin:]
    theirs = expected["metrics"][len(expected["metrics"]) - len(report["metrics"]) :]
    for ours, other in zip(report["metrics"], theirs, strict=True):
        assert ours == pytest.approx(other, rel=1e-5, abs=1e-5)
        assert ours["counted"] == ours["distinct"] == 13
    for name, values in expected["weights"].items():
        assert report["weights"][name] == pytest.approx(values, rel=1e-4, abs=1e-5), name


def farthest(report: dict[str, Any], expected: dict[str, Any]) -> float:
    return max(abs(a - b) for a, b in zip(report["losses"], expected["losses"], strict=True))


@pytest.mark.parametrize(
    ("shape", "mode"),
    [(shape, mode) for shape in SHAPES for mode in modes_of(shape)],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_ranks_that_share_sequences_give_the_numbers_of_one_process(runs: Runs, shape: Shape, mode: str) -> None:
    report, expected = runs[f"{name_of(shape)}, {mode}"], runs[f"alone, {mode}"]
    assert (report["graphs"] > 0) == (mode == "compiled")
    if mode == "amp":
        close = MODES[mode][1]
        assert report["losses"] == pytest.approx(expected["losses"], rel=close, abs=close)
        assert report["losses"] != pytest.approx(runs["alone, float32"]["losses"], rel=1e-6)
        assert "bfloat16" in report["dtypes"]
    else:
        assert_same(shape, mode, report, expected)
    print(f"| {' x '.join(map(str, shape))} | {mode} | {farthest(report, expected):.1e} |")


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_ranks_that_share_sequences_go_on_from_one_process(runs: Runs, shape: Shape) -> None:
    assert_same(shape, "counted", runs[f"alone to {name_of(shape)}"], runs["alone, counted"], begin=SAVED)


@pytest.mark.skipif(not ALL, reason="a part of `nox -s mesh`: other tests go on from checkpoints of a mesh")
@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_one_process_goes_on_from_ranks_that_share_sequences(runs: Runs, shape: Shape) -> None:
    assert_same(TWO, "counted", runs[f"{name_of(shape)} to alone"], runs["alone, counted"], begin=SAVED)
