"""What several tests of this folder share."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eng.visualization import Visualizer


def pixel(visualizer: Visualizer, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(channel) for channel in visualizer.get_image()[y, x])


def untouched(visualizer: Visualizer) -> np.ndarray:
    return (visualizer.get_image() == 100).all(axis=-1)


CLOCK = re.compile("time|samples_per_s|tokens_per_s|data_share|host_memory")  # scalars that depend on it


def local(folder: Path, name: str = "scalars.json") -> list[dict]:
    lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: value for key, value in line.items() if not CLOCK.search(key)} for line in lines]


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    names = [name for name in found.Tags()["scalars"] if not CLOCK.search(name)]
    return {name: [(point.step, point.value) for point in found.Scalars(name)] for name in names}


def steps(path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


GOOD = [{"loss": 1.0 / step, "step": step, "axis": "iter", "iteration": step, "mode": "train"} for step in range(1, 21)]


def file_of(folder, *lines: bytes):
    path = folder / "scalars.json"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path
