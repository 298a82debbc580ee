"""Makes the pictures of docs/pictures/ by real runs of the pages that show them.

``nox -s pictures`` writes them, and the values that they show into values.json, which tests/docs/test_pictures.py compares
with those of new runs.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

from eng.optim import OptimWrapper
from eng.optim.scheduler import preview
from eng.registry import PARAM_SCHEDULERS
from eng.visualization.curves import load_curves

mpl.use("svg")
mpl.rcParams |= {"svg.hashsalt": "eng", "svg.fonttype": "none", "font.family": "sans-serif"}
from matplotlib import pyplot as plt  # noqa: E402

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = DOCS / "pictures"
VALUES = PICTURES / "values.json"
ITERATIONS = 100
SCHEDULES: dict[str, list[dict[str, Any]]] = {
    "LinearLR, then CosineAnnealingLR": [
        dict(type="LinearLR", start_factor=0.1, end=10),
        dict(type="CosineAnnealingLR", T_max=90, begin=10, end=100),
    ],
    "StepLR": [dict(type="StepLR", step_size=30, gamma=0.5)],
    "MultiStepLR": [dict(type="MultiStepLR", milestones=[50, 80], gamma=0.3)],
    "ExponentialLR": [dict(type="ExponentialLR", gamma=0.96)],
    "PolyLR": [dict(type="PolyLR", power=2, eta_min=0.05, end=100)],
    "OneCycleLR": [dict(type="OneCycleLR", eta_max=1.0, total_steps=100)],
}
_BLOCK = re.compile(r"^```(python|bash)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def schedule_values() -> dict[str, list[float]]:
    """Learning rates of each schedule over 100 iterations, from 1.0."""
    rates = {}
    for name, configs in SCHEDULES.items():
        wrapper = OptimWrapper(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0))
        settings = dict(optimizer=wrapper, by_epoch=False)
        schedulers = [PARAM_SCHEDULERS.build(config, default_args=settings) for config in configs]
        rates[name] = [round(rate, 6) for rate in preview(wrapper, schedulers, max_iters=ITERATIONS).lr[0]]
    return rates


def page_hash(page: Path) -> str:
    """Changes when a block of the page changes."""
    blocks = "".join(body for *_, body in _BLOCK.findall(page.read_text(encoding="utf-8")))
    return hashlib.sha256(blocks.encode()).hexdigest()[:12]


def curve_values(work_dir: Path) -> dict[str, list[float]]:
    """Loss and accuracy of a run of the page of 15 minutes."""
    points = load_curves(work_dir).points
    curves = {name: values for (name, _), (_, values) in points.items() if name in ("loss", "accuracy")}
    return {name: [round(value, 4) for value in values] for name, values in curves.items()}


def draw_schedules(file: Path) -> None:
    """A small chart for each schedule."""
    figure, axes = plt.subplots(2, 3, figsize=(8, 3.6), sharex=True, sharey=True, layout="constrained")
    for chart, (name, rates) in zip(axes.flat, schedule_values().items(), strict=True):
        chart.plot(rates, color="#4051b5")
        chart.set_title(name, fontsize=9)
    figure.supxlabel("iteration", fontsize=9)
    figure.supylabel("learning rate", fontsize=9)
    figure.savefig(file, metadata={"Date": None})


def run_page(page: str, folder: Path) -> None:
    """Does what a page says, in a folder."""
    blocks = _BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    named = [(re.search(r'title="([^"]+)"', title), body) for language, title, body in blocks if language == "python"]
    for title, body in named:
        (folder / (title[1] if title else "page.py")).open("a", encoding="utf-8").write(body)
    if (folder / "page.py").is_file():
        subprocess.run([sys.executable, "page.py"], cwd=folder, check=True, capture_output=True)


def command(*arguments: str, folder: Path) -> None:
    """Runs a program of this environment."""
    subprocess.run([sys.executable, "-m", *arguments], cwd=folder, check=True, capture_output=True)


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    values: dict[str, Any] = {"schedules": schedule_values()}
    draw_schedules(PICTURES / "schedules.svg")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_page("start/fifteen-minutes.md", folder)
        work_dir = folder / "work_dirs/fifteen_minutes"
        values["fifteen-minutes"] = curve_values(work_dir)
        picture = str(PICTURES / "fifteen-minutes.png")
        command("eng.cli", "curves", str(work_dir), "--keys", "loss,accuracy", "--out", picture, folder=folder)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_page("tutorials/image-folder.md", folder)
        subprocess.run([sys.executable, "draw_shapes.py"], cwd=folder, check=True)
        picture = str(PICTURES / "image-folder.png")
        command("eng.cli", "browse", "config.py", "--samples", "4", "--cell", "96", "--out", picture, folder=folder)
        values["image-folder"] = page_hash(DOCS / "tutorials/image-folder.md")
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in values.items())
    VALUES.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
