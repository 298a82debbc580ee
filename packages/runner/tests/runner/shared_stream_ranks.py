"""A run over shared-out streams that is stopped and resumed, started on each rank by test_shared_streams_over_ranks.py.

    RANK=0 WORLD_SIZE=2 python shared_stream_ranks.py FOLDER CASE...

A case is a stream and the number of workers. Writes the samples that this rank trained on, by case and start, into
``FOLDER/<rank>.json``: those of a run that is left alone, and of each run that is stopped and resumed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from stream_runs import Count, Gone, Line, Stateful, Strike

from eng.runner import Runner

SAMPLES, EPOCHS, STOPS = 26, 2, (2, 5, 7)


def shards(numbers: list[int]) -> Iterator[dict[str, int]]:
    for number in numbers:
        yield from ({"number": index} for index in range(SAMPLES * number // 4, SAMPLES * (number + 1) // 4))


def dataset_of(case: str) -> Any:
    name = case.partition(",")[0]
    if name != "datasets":
        return {"stateful": Stateful, "plain": Count}[name](SAMPLES)
    import datasets

    return datasets.IterableDataset.from_generator(shards, gen_kwargs={"numbers": [0, 1, 2, 3]})


def collate(samples: list[Any]) -> dict[str, torch.Tensor]:
    return {"number": torch.tensor([item["number"] if isinstance(item, dict) else item for item in samples])}


def seen(folder: Path, case: str, hooks: list[Any], **settings: Any) -> list[int]:
    """Samples that this rank trained on."""
    loader = {
        "dataset": dataset_of(case), "shard_stream": True, "batch_size": 2, "num_workers": int(case[-1]),
        "collate_fn": collate,
    }  # fmt: skip
    runner = Runner(
        Line(), str(folder), train_dataloader=loader, train_cfg={"max_epochs": EPOCHS},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}}, custom_hooks=hooks, on_error="raise",
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 1, "by_epoch": False}, "logger": None},
        randomness={"seed": 0}, log_level="WARNING",
        **({"launcher": "pytorch", "env_cfg": {"dist_cfg": {"backend": "gloo"}}} if dist.is_initialized() else {}),
        **settings,
    )  # fmt: skip
    try:
        runner.train()
    except Gone:
        assert hooks
    model = getattr(runner.model, "module", runner.model)
    return list(model.seen)


def folder_of(folder: Path, case: str) -> Path:
    return folder / case.replace(", ", "-")


def main(folder: Path, cases: list[str]) -> None:
    results = {}
    for case in cases:
        root = folder_of(folder, case)
        results[case] = {"whole": seen(root / "whole", case, [])}
        for stop in STOPS:
            first = seen(root / f"stopped{stop}", case, [Strike(stop)])
            start = {"load_from": str(root / f"stopped{stop}/iter_{stop}.pth"), "resume": True}
            results[case][str(stop)] = [first, seen(root / f"resumed{stop}", case, [], **start)]
    (folder / f"{os.environ['RANK']}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    torch.set_num_threads(1)
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}/rendezvous", rank=rank, world_size=ranks)
    main(Path(sys.argv[1]), sys.argv[2:])
    dist.destroy_process_group()
