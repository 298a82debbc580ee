"""Fine-tunes, resumes and converts with the tools of XTuner, as processes; used by runs.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import language_models
import torch
from libraries import BY_PACKAGE


def run_language_model(
    package: str, folder: Path, run: Callable[..., str], scalars: Callable[[Path], list[dict]]
) -> dict:
    """What the project gives: losses, those after a resume, what the model answers, and the weights of the adapter.

    Args:
        package: the library.
        folder: an empty folder for the project.
        run: runs a Python script with arguments under the engine.
        scalars: reads the scalars of the newest start below a working directory.
    """
    library = BY_PACKAGE[package]
    tools, work_dir = library.root / library.tools, folder / "work"
    config = language_models.make_project(library.root / library.configs, folder)
    train = (str(tools / "train.py"), str(config), "--work-dir", str(work_dir))
    run(*train)
    first = [line["loss"] for line in scalars(work_dir) if "loss" in line]
    answers = answers_of(work_dir)
    run(*train, "--resume", str(work_dir / "iter_4.pth"))
    resumed = {line["iter"]: line["loss"] for line in scalars(work_dir) if "loss" in line}
    adapter = folder / "adapter"
    run(str(tools / "model_converters/pth_to_hf.py"), str(config), str(work_dir / "iter_8.pth"), str(adapter), "--fp32")
    weights = torch.load(adapter / "adapter_model.bin", weights_only=True)
    return {
        "losses": first,
        "answers": answers,
        "resumed": [loss for number, loss in sorted(resumed.items()) if number > 4],
        "adapter": {
            "rank": json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["r"],
            "weights": sum(value.double().abs().sum().item() for value in weights.values()),
            "names": len(weights),
        },
    }


def answers_of(work_dir: Path) -> list[str]:
    """What the model said while it was trained, from the log file."""
    (log,) = (path for path in work_dir.glob("2*/2*.log"))
    lines = log.read_text(encoding="utf-8").splitlines()
    return [lines[number + 1] for number, line in enumerate(lines) if line.endswith("Sample output:")]
