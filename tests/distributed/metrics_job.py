"""One rank that evaluates every size of a data set with several batch sizes and reports what was counted."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from eng.dataset import DefaultSampler
from eng.dist import get_rank, init_dist
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


def main() -> None:
    options = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        init_dist("pytorch", "gloo")
    found = {}
    for size in range(1, options["largest"] + 1):
        for batch_size in options["batch_sizes"]:
            data = list(range(size))
            sampler = DefaultSampler(data, shuffle=False)
            evaluator = Evaluator(metrics=SumOfSquares())
            for batch in DataLoader(data, batch_size=batch_size, sampler=sampler):
                evaluator.process(data_samples=batch.tolist(), data_batch=batch)
            found[f"{size}/{batch_size}"] = evaluator.evaluate(size)
    if get_rank() == 0:
        Path(options["report"]).write_text(json.dumps(found))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
