"""The training job on Ray Train's workers; arguments: a file with options, as for training_job.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def train_on_worker(settings: dict[str, Any]) -> None:
    """One rank: Ray Train has made the process group, which the Runner takes as it is."""
    import os

    import torch

    sys.path.insert(0, settings["here"])
    os.environ.pop("RANK", None)  # by which the job knows torchrun: the Runner has launcher="none" here
    from training_job import run

    from eng.dist import get_rank, get_world_size

    torch.set_num_threads(1)
    report = run(settings["options"])
    if get_rank() == 0:
        Path(settings["options"]["report"]).write_text(json.dumps({**report, "world": get_world_size()}))


def main() -> None:
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    options = json.loads(Path(sys.argv[1]).read_text())
    ray.init(num_cpus=2, include_dashboard=False)
    TorchTrainer(
        train_on_worker,
        train_loop_config={"here": str(HERE), "options": options},
        scaling_config=ScalingConfig(num_workers=2, use_gpu=False),
        run_config=RunConfig(storage_path=str(Path(options["work_dir"]).parent / "ray")),
    ).fit()
    ray.shutdown()


if __name__ == "__main__":
    main()
