"""Files of scalars as a run writes them, and the commands that read them; for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from click.testing import CliRunner


def training(iteration: int, per_epoch: int = 4) -> list[dict]:
    """What a run writes in an iteration: its loss and, at the end of an epoch, the accuracy."""
    epoch = (iteration - 1) // per_epoch + 1
    lines = [
        {"loss": 1 / iteration, "time": 0.5, "iter": iteration, "epoch": epoch, "step": iteration,
         "axis": "iter", "iteration": iteration, "mode": "train"},
    ]  # fmt: skip
    if iteration % per_epoch == 0:
        position = {"step": epoch, "axis": "epoch", "iteration": iteration, "mode": "val"}
        lines.append({"accuracy": epoch / 10, "time": 0.1, **position})
    return lines


def write(path: Path, lines: list[dict], tail: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    return path


def start(work_dir: Path, stamp: str, last: int) -> Path:
    lines = [line for iteration in range(1, last + 1) for line in training(iteration)]
    return write(work_dir / stamp / "vis_data" / "scalars.json", lines)


def run_command(command, *words: object):
    services = SimpleNamespace(
        load_config=lambda path, trust=True: {"vis_backends": [{"type": "TensorboardVisBackend"}]}
    )
    return CliRunner().invoke(command, [str(word) for word in words], obj=services, catch_exceptions=False)
