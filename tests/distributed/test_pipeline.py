"""The program of the docs that trains in pipeline stages gives, on two ranks, the numbers of one process."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch
from distributed_jobs import launcher, run_command, variables

PAGE = Path(__file__).parents[2] / "docs/scale.md"
BLOCK = re.compile(r'^```python title="pipeline\.py"\n(.*?)^```', re.MULTILINE | re.DOTALL)
EPOCHS, ITERATIONS = 3, 4  # of an epoch

pytestmark = pytest.mark.timeout(500)


def losses_of(script: Path, ranks: int, work_dir: Path, *arguments: str) -> list[float]:
    """The losses that a start of the program logs."""
    log = script.with_suffix(f".{ranks}.txt")
    command = [sys.executable, *launcher(ranks), str(script), str(work_dir), *arguments]
    code = run_command(command, log, 150, variables())
    assert code == 0, log.read_text()[-4000:]
    newest = max(work_dir.glob("*/vis_data/scalars.json"))
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_two_stages_train_as_one_process_and_go_on(tmp_path: Path) -> None:
    block = BLOCK.search(PAGE.read_text(encoding="utf-8"))
    assert block is not None
    script = tmp_path / "pipeline.py"
    script.write_text(block[1], encoding="utf-8")
    alone = losses_of(script, 0, tmp_path / "alone")
    assert len(alone) == EPOCHS * ITERATIONS
    assert losses_of(script, 2, tmp_path / "stages") == pytest.approx(alone, abs=1e-6)
    expected, state = (
        torch.load(tmp_path / name / "epoch_3.pth", weights_only=False)["state_dict"] for name in ("alone", "stages")
    )
    assert list(state) == list(expected) == ["stages.0.0.weight", "stages.0.0.bias", "stages.1.weight", "stages.1.bias"]
    for name, weight in expected.items():
        assert state[name].numpy() == pytest.approx(weight.numpy(), abs=1e-6), name
    if os.environ.get("ENG_MESH_ALL") != "1":
        return  # a third start costs seconds
    (tmp_path / "stages/epoch_3.pth").unlink()
    (tmp_path / "stages/last_checkpoint").write_text(str(tmp_path / "stages/epoch_2.pth"))
    again = losses_of(script, 2, tmp_path / "stages", "--resume")
    assert again[-ITERATIONS:] == pytest.approx(alone[-ITERATIONS:], abs=1e-6)
