"""Datasets and processes for tests, importable by workers that are spawned."""

from __future__ import annotations

import json
import os
import random
import sys

import numpy as np
import torch

from eng.dataset import BaseDataset


class Numbers(BaseDataset):
    """`length` annotations of about 100 bytes."""

    def __init__(self, length: int = 10, **kwargs):
        self.length = length
        super().__init__(**kwargs)

    def load_data_list(self):
        return [
            {"img_path": f"folder/image_{i:08d}.jpg", "label": i % 7, "box": [i, i + 1, i + 2]}
            for i in range(self.length)
        ]

    def get_cat_ids(self, idx):
        return [self.get_data_info(idx)["label"]]


class Noise:
    """A transform that draws from all three generators."""

    def __call__(self, data):
        return {
            "index": data["sample_idx"],
            "draws": [random.random(), float(np.random.rand()), float(torch.rand(()))],
        }


class Plain(torch.utils.data.Dataset):
    """A dataset that knows nothing of eng."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return {"index": index, "draws": [random.random(), float(np.random.rand()), float(torch.rand(()))]}


def mapped_pss_kib() -> float:
    """This process' proportional share of the index, in KiB: the mappings of our memory file."""
    total, inside = 0.0, False
    with open("/proc/self/smaps") as file:
        for line in file:
            first = line.split(maxsplit=1)[0]
            if not first.endswith(":"):
                inside = "eng-dataset" in line
            elif inside and first == "Pss:":
                total += float(line.split()[1])
    return total


def touch(dataset) -> int:
    return int(np.asarray(dataset.data_bytes)[::512].sum()) + int(np.asarray(dataset.data_address).sum())


def worker_main(dataset, barrier, queue) -> None:
    touch(dataset)
    barrier.wait(60)
    queue.put((mapped_pss_kib(), dataset[3]["label"]))
    barrier.wait(60)


def rank_main(method: str, length: int, workers: int, folder: str, rank: int, world: int) -> None:
    """One rank with workers; prints the shares of all its processes."""
    import multiprocessing
    import time
    from pathlib import Path

    dataset = Numbers(length)
    context = multiprocessing.get_context(method)
    barrier, queue = context.Barrier(workers + 1), context.Queue()
    children = [
        context.Process(target=worker_main, args=(dataset, barrier, queue), daemon=True) for _ in range(workers)
    ]
    for child in children:
        child.start()
    touch(dataset)

    def meet(name):
        Path(folder, f"{name}-{rank}").touch()
        deadline = time.monotonic() + 60
        while not all(Path(folder, f"{name}-{other}").exists() for other in range(world)):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    meet("started")
    # the workers wait at their barrier: all of them have touched everything before any of them measures
    while barrier.n_waiting < workers:
        time.sleep(0.02)
    meet("touched")
    barrier.wait(60)
    shares = [queue.get(timeout=60) for _ in children]
    own = mapped_pss_kib()
    meet("measured")
    barrier.wait(60)
    for child in children:
        child.join(30)
    size = dataset.data_bytes.nbytes + dataset.data_address.nbytes
    print(
        json.dumps(
            {
                "pss": own + sum(share for share, _ in shares),
                "size": size / 1024,
                "labels": [label for _, label in shares],
            }
        )
    )


if __name__ == "__main__":
    rank_main(
        sys.argv[1],
        int(sys.argv[2]),
        int(sys.argv[3]),
        sys.argv[4],
        int(os.environ["LOCAL_RANK"]),
        int(os.environ["LOCAL_WORLD_SIZE"]),
    )
