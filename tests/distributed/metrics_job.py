"""One of four processes that evaluate every size of a data set with several batch sizes, on 1 to 4 ranks in turn."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from eng.dataset import DefaultSampler
from eng.dist import get_world_size
from eng.evaluator import BaseMetric, Evaluator


class SumOfSquares(BaseMetric):
    """The sum of squares of the indices, their number, and whether they came back in their order."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [int(sample) for sample in data_samples]

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return {
            "squares": sum(i * i for i in results),
            "count": len(results),
            "ordered": results == list(range(len(results))),
        }


def evaluations(largest: int, batch_sizes: list[int]) -> dict[str, dict[str, float]]:
    """The metrics of the present ranks, by size of the data and of a batch."""
    found = {}
    for size in range(1, largest + 1):
        for batch_size in batch_sizes:
            data = list(range(size))
            sampler = DefaultSampler(data, shuffle=False)
            evaluator = Evaluator(metrics=SumOfSquares())
            for batch in DataLoader(data, batch_size=batch_size, sampler=sampler):
                evaluator.process(data_samples=batch.tolist(), data_batch=batch)
            found[f"{size}/{batch_size}"] = evaluator.evaluate(size)
    return found


def main() -> None:
    options = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    rank, meeting = int(os.environ["RANK"]), Path(options["report"]).with_name("ranks")
    report = {}
    for ranks in range(max(1, rank + 1), int(os.environ["WORLD_SIZE"]) + 1):
        if ranks > 1:
            place = f"file://{meeting}-{ranks}"
            torch.distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=ranks)
        report[ranks] = evaluations(options["largest"], options["batch_sizes"])
        assert get_world_size() == ranks
        if ranks > 1:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
    if rank == 0:
        Path(options["report"]).write_text(json.dumps(report))


if __name__ == "__main__":
    main()
