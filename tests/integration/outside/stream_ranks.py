"""Two ranks of gloo with two workers each, started as a script by test_stream_ranks.py.

Writes what each rank trained on in two epochs, by the case, into ``<folder>/<rank>.json``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from data_runs import SAMPLES, Line, collate, sample
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from eng.dist import get_rank, get_world_size
from eng.runner import Runner


class Plain(IterableDataset):
    """Asks for nothing."""

    def __iter__(self) -> Iterator[Any]:
        return map(sample, range(SAMPLES))


class ByWorker(IterableDataset):
    """Asks for its rank and worker itself."""

    def __init__(self) -> None:
        self.rank, self.world_size = get_rank(), get_world_size()

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        return map(sample, range(self.rank * info.num_workers + info.id, SAMPLES, self.world_size * info.num_workers))


def shards(numbers: list[int]) -> Any:
    for number in numbers:
        for index in range(number * 6, number * 6 + 6):
            yield sample(index)


def hugging_face() -> Any:
    import datasets

    return datasets.IterableDataset.from_generator(shards, gen_kwargs={"numbers": [0, 1, 2, 3]})


def web_dataset(folder: Path) -> Any:
    import webdataset as wds

    urls = [str(folder / f"shard-{number}.tar") for number in range(4)]
    stream = wds.WebDataset(urls, shardshuffle=False, nodesplitter=wds.split_by_node)
    return stream.decode().map(lambda item: item["json"])


def seen(folder: Path, loader: Any) -> list[int]:
    """Samples that the model saw on this rank in two epochs."""
    model = Line()
    runner = Runner(
        model, str(folder / "work"), train_dataloader=loader, train_cfg={"max_epochs": 2}, launcher="pytorch",
        env_cfg={"dist_cfg": {"backend": "gloo"}}, optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        log_level="WARNING", randomness={"seed": 0},
    )  # fmt: skip
    runner.train()
    return runner.model.module.seen


class Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def main() -> None:
    folder = Path(sys.argv[1])
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=int(os.environ["RANK"]), world_size=2
    )
    options = {"batch_size": 3, "collate_fn": collate, "num_workers": 2}
    cases = {
        "own": lambda: DataLoader(ByWorker(), **options),
        "plain": lambda: {"dataset": Plain(), **options},
        "plain, shared": lambda: {"dataset": Plain(), "shard_stream": True, **options},
        "datasets": lambda: {"dataset": hugging_face(), **options},
        "datasets, shared": lambda: {"dataset": hugging_face(), "shard_stream": True, **options},
        "webdataset": lambda: {"dataset": web_dataset(folder), **options},
    }
    results = {}
    for name in sys.argv[2:]:
        messages = Messages()
        logging.getLogger("eng.runner.loops._shares").addHandler(messages)
        results[name] = {"seen": seen(folder, cases[name]()), "messages": messages.texts}
        logging.getLogger("eng.runner.loops._shares").removeHandler(messages)
    (folder / f"{get_rank()}.json").write_text(json.dumps(results))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()  # joins gloo's threads, which could abort the exit of the interpreter


if __name__ == "__main__":
    main()
