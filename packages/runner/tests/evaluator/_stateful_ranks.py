"""One of four processes: metrics with a state over 1 to 4 ranks with uneven shares.

Started by test_torch_metric.py as ``python _stateful_ranks.py RANK FOLDER``; rank 0 writes the report.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import torch.distributed

from eng.evaluator import Evaluator

SIZES = (3, 7)  # of 3 samples the fourth rank has none


def data(size: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        "preds": torch.randn(size, 3, generator=generator, dtype=torch.float64),
        "target": torch.randint(0, 3, (size,), generator=generator),
    }


def evaluate(metrics: list, size: int, rank: int, ranks: int) -> dict[str, float]:
    evaluator, columns = Evaluator(metrics), data(size)
    for batch in torch.arange(rank, size, ranks).split(2):
        if len(batch):
            evaluator.process({name: values[batch] for name, values in columns.items()})
    return evaluator.evaluate(size)


def main() -> None:
    torch.set_num_threads(1)
    rank, folder, names = int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    report = {}
    for ranks in range(max(1, rank + 1), 5):
        if ranks > 1:
            place = f"file://{folder}/group{ranks}"
            torch.distributed.init_process_group("gloo", init_method=place, rank=rank, world_size=ranks)
        for size in SIZES:
            report[f"{ranks}/{size}"] = evaluate([dict(cfg) for cfg in names], size, rank, ranks)
        if ranks > 1:
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
    if rank == 0:
        (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
