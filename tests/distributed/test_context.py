"""Ranks that share the sequences of a batch give the numbers of one process, and go on from its checkpoint and it from theirs.

One shape runs by default. With ENG_MESH_ALL=1 (`nox -s mesh`) all shapes and modes run.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from distributed_jobs import AMP_TOLERANCE, Runs, Shape, assert_same, farthest_loss, name_of, on_mesh, ranks_of

ALL = os.environ.get("ENG_MESH_ALL") == "1"
EPOCHS = 10 if ALL else 2
SAVED = 45 if ALL else 3  # inside an accumulation window
AXES = ("replicate", "shard", "context", "tensor")
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
MODES: dict[str, dict[str, Any]] = {"float32": {}, "counted": COUNTED, "compiled": {"compile": True}, "amp": AMP}
USED = list(MODES) if ALL else ["counted"]

pytestmark = pytest.mark.timeout(1200 if ALL else 300)


def sharing(shape: Shape) -> dict[str, Any]:
    return on_mesh(RUN, dict(zip(AXES, shape, strict=True)), "AttentionBlock", PLAN)


def modes_of(shape: Shape) -> list[str]:
    """The modes of a shape; guards of DTensors over three axes fail in torch 2.13 also where shapes are fixed."""
    if shape[1] > 1 and shape[3] > 1:
        return [mode for mode in USED if mode != "compiled"]
    return USED


def in_mode(shape: Shape, mode: str) -> dict[str, Any]:
    options = {**sharing(shape), **MODES[mode]}
    if mode == "compiled" and shape[3] > 1:
        # Validation has other shapes than training, and torch 2.13 fails in the guards of DTensors of any shape.
        options["compile"] = {"dynamic": False}
    return options


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("context")

    def resumed(source: str, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "load_from": str(folder / source / f"iter_{SAVED}.pth"), "resume": True}

    launches: dict[str, tuple[int, dict[str, Any]]] = {
        "one process": (0, {f"alone, {mode}": {**RUN, **MODES[mode]} for mode in USED})
    }
    needs: dict[str, list[str]] = {}
    for ranks in sorted({ranks_of(shape) for shape in SHAPES}):
        shapes = [shape for shape in SHAPES if ranks_of(shape) == ranks]
        jobs = {f"{name_of(shape)}, {mode}": in_mode(shape, mode) for shape in shapes for mode in modes_of(shape)}
        resumes = {
            f"alone to {name_of(shape)}": resumed("alone, counted", {**sharing(shape), **COUNTED}) for shape in shapes
        }
        launches[f"{ranks} ranks"] = (ranks, {**jobs, **resumes})
        needs[f"{ranks} ranks"] = ["alone, counted"]
    back = {f"{name_of(shape)} to alone": resumed(f"{name_of(shape)}, counted", {**RUN, **COUNTED}) for shape in SHAPES}
    launches["one process again"] = (0, back)
    needs["one process again"] = [f"{name_of(shape)}, counted" for shape in SHAPES]
    return Runs(folder, launches, needs, timeout=1000 if ALL else 250)


def has_plain_losses(shape: Shape, mode: str) -> bool:
    """Whether a report has the losses of one process: its plain mean over shares of the data is not that of counted tokens."""
    return mode != "counted" or shape[0] * shape[1] == 1


@pytest.mark.parametrize(
    ("shape", "mode"),
    [(shape, mode) for shape in SHAPES for mode in modes_of(shape)],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_ranks_that_share_sequences_give_the_numbers_of_one_process(runs: Runs, shape: Shape, mode: str) -> None:
    report, expected = runs[f"{name_of(shape)}, {mode}"], runs[f"alone, {mode}"]
    assert (report["graphs"] > 0) == (mode == "compiled")
    if mode == "amp":
        assert report["losses"] == pytest.approx(expected["losses"], rel=AMP_TOLERANCE, abs=AMP_TOLERANCE)
        assert report["losses"] != pytest.approx(runs["alone, float32"]["losses"], rel=1e-6)
        assert "bfloat16" in report["dtypes"]
    else:
        assert_same(report, expected, losses=has_plain_losses(shape, mode))
    print(f"| {' x '.join(map(str, shape))} | {mode} | {farthest_loss(report, expected):.1e} |")


@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_ranks_that_share_sequences_go_on_from_one_process(runs: Runs, shape: Shape) -> None:
    report, losses = runs[f"alone to {name_of(shape)}"], has_plain_losses(shape, "counted")
    assert_same(report, runs["alone, counted"], begin=SAVED, losses=losses)


@pytest.mark.skipif(not ALL, reason="a part of `nox -s mesh`: other tests go on from checkpoints of a mesh")
@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_one_process_goes_on_from_ranks_that_share_sequences(runs: Runs, shape: Shape) -> None:
    assert_same(runs[f"{name_of(shape)} to alone"], runs["alone, counted"], begin=SAVED)
