"""The program of the docs that trains in pipeline stages gives, on two ranks, the numbers of one process."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from distributed_jobs import launcher, run_command, variables

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import page_blocks

ALL = os.environ.get("ENG_MESH_ALL") == "1"
EPOCHS, ITERATIONS = 3, 4  # of an epoch

pytestmark = [
    pytest.mark.timeout(500),
    pytest.mark.skipif(
        tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10),
        reason="gloo of torch 2.9 mixes up the messages of stages",
    ),
]


@dataclass
class Trained:
    """The program in a folder, and the losses that it logged; the checkpoints lie in `alone` and `stages` beside it."""

    script: Path
    alone: list[float]
    stages: list[float]


def losses_of(script: Path, ranks: int, work_dir: Path, *arguments: str) -> list[float]:
    """The losses that a start of the program logs."""
    log = work_dir.with_suffix(".txt")
    command = [sys.executable, *launcher(ranks), str(script), str(work_dir), *arguments]
    code = run_command(command, log, 150, variables())
    assert code == 0, log.read_text()[-4000:]
    newest = max(work_dir.glob("*/vis_data/scalars.json"))
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("pipeline")
    page_blocks.write_files(ROOT / "docs/scale.md", folder)
    script = folder / "pipeline.py"
    return Trained(script, losses_of(script, 0, folder / "alone"), losses_of(script, 2, folder / "stages"))


def test_two_stages_train_as_one_process(trained: Trained) -> None:
    assert len(trained.alone) == EPOCHS * ITERATIONS
    assert trained.stages == pytest.approx(trained.alone, abs=1e-6)
    expected, state = (
        torch.load(trained.script.with_name(name) / "epoch_3.pth", weights_only=False)["state_dict"]
        for name in ("alone", "stages")
    )
    assert list(state) == list(expected) == ["stages.0.0.weight", "stages.0.0.bias", "stages.1.weight", "stages.1.bias"]
    for name, weight in expected.items():
        assert state[name].numpy() == pytest.approx(weight.numpy(), abs=1e-6), name


@pytest.mark.skipif(not ALL, reason="a part of nox -s mesh")
def test_two_stages_go_on_as_one_process(trained: Trained, tmp_path: Path) -> None:
    stages = tmp_path / "stages"
    shutil.copytree(trained.script.with_name("stages"), stages)
    (stages / "epoch_3.pth").unlink()
    (stages / "last_checkpoint").write_text(str(stages / "epoch_2.pth"))
    again = losses_of(trained.script, 2, stages, "--resume")
    assert again[-ITERATIONS:] == pytest.approx(trained.alone[-ITERATIONS:], abs=1e-6)
