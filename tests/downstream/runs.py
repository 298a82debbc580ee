"""Trains, resumes, tests and infers with a library's own tools, as processes; used by the tests and by make_goldens.py."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from libraries import BY_PACKAGE
from run_language_model import run_language_model
from run_projects import PROJECTS, make_project

HERE = Path(__file__).parent
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
LANGUAGE_MODELS = ("xtuner",)
WITH_TTA = ("mmpretrain", "mmseg", "mmdet", "mmocr")
# test.py of MMagic has no such option, the hook of MMAction2 raises on key points of a skeleton, that of MMDetection3D
# imports open3d.
WITHOUT_SHOW_DIR = ("mmaction", "mmdet3d", "mmagic")
PACKAGES = (*PROJECTS, *LANGUAGE_MODELS)


class RunError(Exception):
    """A tool of a library ended with an error."""


def call(prefix: Sequence[str], *args: str, project: Path, timeout: float = 400) -> str:
    """Output of a Python process that ends well and can import modules of the project.

    Raises:
        RunError: its exit status is not 0; with the end of its output.
    """
    path = os.pathsep.join(filter(None, (str(project / "data"), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "PYTHONPATH": path, **OFFLINE}
    env["HF_HOME"] = str(project / "cache")
    command = [sys.executable, "-W", "ignore", *prefix, *args]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=timeout, check=False)
    if done.returncode:
        raise RunError(
            f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-500:]}\n{done.stderr[-2500:]}"
        )
    return done.stdout


def run_library(package: str, folder: Path, prefix: Sequence[str] = ()) -> dict:
    """What a project of a library gives: losses, metrics of all phases, and what the inferencer predicts.

    Args:
        package: the library.
        folder: an empty folder for the project.
        prefix: arguments of Python in front of each script: ``-m eng.compat`` under eng.
    """
    run = functools.partial(call, project=folder)
    if package in LANGUAGE_MODELS:
        return run_language_model(package, folder, functools.partial(run, prefix), scalars)
    library = BY_PACKAGE[package]
    tools = library.root / library.tools
    config, work_dir, tested = make_project(package, folder), folder / "work", folder / "tested"
    train = (str(tools / "train.py"), str(config), "--work-dir", str(work_dir))
    run(prefix, *train)
    first, first_best = scalars(work_dir), best_of(work_dir)
    run(prefix, *train, "--resume", "--cfg-options", "train_cfg.max_epochs=3")
    resumed, best = scalars(work_dir), best_of(work_dir)
    test = (str(tools / "test.py"), str(config), str(best), "--work-dir", str(tested))
    drawn = folder / "drawn"
    run(prefix, *test, *(() if package in WITHOUT_SHOW_DIR else ("--show-dir", str(drawn))))
    result = {
        "losses": [line["loss"] for line in first if "loss" in line],
        "metrics": [metrics_of(line) for line in first if metrics_of(line)],
        "best": [first_best.name, best.name],
        "resumed": {
            # eng copies the scalars before the resume into the new file, so that curves are continuous.
            "losses": [line["loss"] for line in resumed if "loss" in line and line.get("epoch") == 3],
            "epoch": max(line["epoch"] for line in resumed if "loss" in line),
        },
        "test": tested_metrics(tested),
        "drawn": sum(path.suffix in (".png", ".jpg") for area in (tested, drawn) for path in area.rglob("*")),
    }
    if package in WITH_TTA:
        run(prefix, *test, "--tta")
        result["tta"] = tested_metrics(tested)
    output = run(prefix, str(HERE / "infer_project.py"), package, str(folder), str(best))
    result["inferred"] = json.loads(output.strip().splitlines()[-1])["results"]
    return result


def best_of(work_dir: Path) -> Path:
    """The best checkpoint; a better one replaces it."""
    (best,) = work_dir.glob("best_*.pth")
    return best


def newest(folder: Path, pattern: str) -> Path:
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def scalars(work_dir: Path) -> list[dict]:
    """Lines of the newest start's scalars.json."""
    return [json.loads(line) for line in newest(work_dir, "*/vis_data/scalars.json").read_text().splitlines()]


def metrics_of(line: dict) -> dict:
    """The metrics of a line: no losses, learning rates, times and counters."""
    skipped = (
        "axis",
        "iteration",
        "mode",
        "loss",
        "lr",
        "time",
        "iter",
        "epoch",
        "step",
        "memory",
        "grad_norm",
        "momentum",
        "acc",
        "top1_acc",
        "top5_acc",
    )
    if any(name in line for name in ("loss", "lr")):
        return {}
    return {name: value for name, value in line.items() if not name.endswith("time") and name not in skipped}


def tested_metrics(folder: Path) -> dict:
    lines = newest(folder, "*/2*.json").read_text().splitlines()
    return metrics_of(json.loads(lines[-1]))


if __name__ == "__main__":
    if sys.argv[1] not in PACKAGES:
        raise SystemExit(f"no project for {sys.argv[1]}; there are {', '.join(PACKAGES)}")
    print(json.dumps(run_library(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]), indent=1))
