"""However a mesh splits a run, the run gives the numbers of one process, and another mesh goes on from its checkpoint.

Two shapes run by default. With ENG_MESH_ALL=1 (`nox -s mesh`) ten shapes run, and each is resumed on three others.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from distributed_jobs import AMP_TOLERANCE, Runs, Shape, assert_same, farthest_loss, name_of, on_mesh, ranks_of

ALL = os.environ.get("ENG_MESH_ALL") == "1"
PLAN = {"stem": "colwise_gathered", "blocks.*.linear": "colwise", "blocks.*.down": "rowwise"}
EPOCHS = 10 if ALL else 2
SAVED = 45 if ALL else 3  # inside an accumulation window
AXES = ("replicate", "shard", "tensor")
SHAPES: list[Shape] = [(1, 2, 2), (2, 2, 1)]
TEN: list[Shape] = [
    (2, 1, 1), (1, 2, 1), (1, 1, 2), (4, 1, 1), (2, 2, 1), (1, 4, 1), (2, 1, 2), (1, 2, 2), (1, 1, 4), (2, 2, 2),
]  # fmt: skip
RUN: dict[str, Any] = {
    "max_epochs": EPOCHS,
    "model": {"wide": True, "width": 16, "depth": 2},
    "optim": {"accumulative_counts": 2},
    "loader": {"global_batch_size": 8},
    "checkpoint": {"by_epoch": False, "interval": SAVED, "save_last": False},
    "hooks": [{"type": "EMAHook", "momentum": 0.1}],
}
AMP = {"type": "AmpOptimWrapper", "dtype": "bfloat16"}
MODES: dict[str, dict[str, Any]] = {
    "compiled": {"compile": True},
    "amp": {"optim": {**RUN["optim"], **AMP}},
    "amp, compiled": {"optim": {**RUN["optim"], **AMP}, "compile": True},
}

pytestmark = pytest.mark.timeout(2400 if ALL else 300)


def meshed(shape: Shape) -> dict[str, Any]:
    return on_mesh(RUN, dict(zip(AXES, shape, strict=True)), "Block", PLAN)


def modes_of(shape: Shape) -> list[str]:
    """All modes; by default one on each shape, as a run that is compiled takes a second on every rank."""
    if ALL:
        return list(MODES)
    return ["compiled"] if shape == SHAPES[0] else ["amp, compiled"]


def jobs_of(shape: Shape) -> dict[str, dict[str, Any]]:
    """The runs on a mesh: in float32, and in each mode."""
    modes = {f"{name_of(shape)}, {mode}": {**meshed(shape), **MODES[mode]} for mode in modes_of(shape)}
    return {name_of(shape): meshed(shape), **modes}


def pairs() -> list[tuple[Shape, Shape]]:
    """A shape that saves, and a shape that goes on."""
    if not ALL:
        return [(SHAPES[0], SHAPES[1])]
    return [(shape, TEN[(index + step) % len(TEN)]) for index, shape in enumerate(TEN) for step in (1, 3, 7)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("meshes")

    def resumed(source: str, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "load_from": str(folder / source / f"iter_{SAVED}.pth"), "resume": True}

    first = TEN if ALL else SHAPES
    needed = [mode for mode in MODES if ALL or any(mode in modes_of(shape) for shape in SHAPES)]
    alone = {f"alone, {mode}": {**RUN, **MODES[mode]} for mode in needed}
    launches: dict[str, tuple[int, dict[str, Any]]] = {"one process": (0, {"alone": RUN, **alone})}
    needs: dict[str, list[str]] = {}
    if ALL:
        for ranks in (2, 4, 8):
            shapes = [shape for shape in first if ranks_of(shape) == ranks]
            launches[f"{ranks} ranks"] = (
                ranks,
                {name: job for shape in shapes for name, job in jobs_of(shape).items()},
            )
            again = {
                f"{name_of(a)} to {name_of(b)}": resumed(name_of(a), meshed(b))
                for a, b in pairs()
                if ranks_of(b) == ranks
            }
            launches[f"{ranks} ranks again"] = (ranks, again)
            needs[f"{ranks} ranks again"] = [name_of(TEN[0]), name_of(TEN[3]), name_of(TEN[9])]
    else:
        (a, b) = pairs()[0]
        jobs = {name: job for shape in first for name, job in jobs_of(shape).items()}
        launches["4 ranks"] = (4, {**jobs, f"{name_of(a)} to {name_of(b)}": resumed(name_of(a), meshed(b))})
    launches["one process again"] = (0, {"mesh to one process": resumed(name_of((1, 2, 2)), RUN)})
    needs["one process again"] = [name_of((1, 2, 2))]
    return Runs(folder, launches, needs, timeout=2000 if ALL else 250)


@pytest.mark.parametrize("shape", TEN if ALL else SHAPES, ids=name_of)
def test_a_mesh_gives_the_numbers_of_one_process(runs: Runs, shape: Shape) -> None:
    report, expected = runs[name_of(shape)], runs["alone"]
    assert_same(report, expected)
    farthest = [farthest_loss(report, expected)]
    farthest += [farthest_loss(runs[f"{name_of(shape)}, {mode}"], runs[f"alone, {mode}"]) for mode in modes_of(shape)]
    print(f"| {' x '.join(map(str, shape))} | {ranks_of(shape)} | {' | '.join(f'{value:.1e}' for value in farthest)} |")


@pytest.mark.parametrize(
    ("shape", "mode"),
    [(shape, mode) for shape in (TEN if ALL else SHAPES) for mode in modes_of(shape)],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_modes_of_a_run_give_the_numbers_of_one_process(runs: Runs, shape: Shape, mode: str) -> None:
    report, expected = runs[f"{name_of(shape)}, {mode}"], runs[f"alone, {mode}"]
    assert report["samples"] == expected["samples"]
    assert (report["graphs"] > 0) == ("compile" in MODES[mode])
    assert report["kinds"] == ["float32"]
    if "amp" in mode:
        assert report["losses"] == pytest.approx(expected["losses"], rel=AMP_TOLERANCE, abs=AMP_TOLERANCE)
        assert "bfloat16" in report["dtypes"]
        assert report["losses"] != pytest.approx(runs["alone"]["losses"], rel=1e-6)
    else:
        assert_same(report, expected)


@pytest.mark.parametrize(("saved", "resumed"), pairs(), ids=name_of)
def test_a_run_goes_on_inside_a_window_on_another_mesh(runs: Runs, saved: Shape, resumed: Shape) -> None:
    assert_same(runs[f"{name_of(saved)} to {name_of(resumed)}"], runs["alone"], begin=SAVED)


@pytest.mark.skipif(not ALL, reason="a part of `nox -s mesh`: other tests resume sharded checkpoints on one process")
def test_one_process_goes_on_from_a_mesh(runs: Runs) -> None:
    assert_same(runs["mesh to one process"], runs["alone"], begin=SAVED)


def test_a_checkpoint_of_a_mesh_is_whole(runs: Runs, tmp_path: Path) -> None:
    from eng.checkpoint import compare_checkpoints, export_weights

    assert runs["alone"]["iter"] == runs[name_of((1, 2, 2))]["iter"]
    folder = runs.folder / name_of((1, 2, 2)) / f"iter_{SAVED}.pth"
    assert folder.is_dir()
    exported = export_weights(folder, tmp_path / "weights.safetensors")
    assert compare_checkpoints(exported, runs.folder / "alone" / f"iter_{SAVED}.pth", tolerance=1e-5) == []
