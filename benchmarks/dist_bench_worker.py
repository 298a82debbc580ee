"""Rank of the dist benchmarks: started twice, compares each wrapper with the bare call, rank 0 prints the figures as JSON."""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from collections.abc import Callable

import psutil
import torch
import torch.distributed as torch_dist

import eng.dist as dist

# Many short rounds: on a machine that others use too, some of them run undisturbed on both sides.
ROUNDS = 60
SAMPLES = 10_000
CALLS = 300


def best_us(call: Callable[[], object], number: int) -> float:
    dist.barrier()
    started = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - started) / number * 1e6


def pair(ours: Callable[[], object], bare: Callable[[], object], number: int) -> tuple[float, float]:
    """Microseconds per call of both, each the best of interleaved rounds."""
    mine, theirs = zip(*((best_us(ours, number), best_us(bare, number)) for _ in range(ROUNDS)), strict=True)
    return min(mine), min(theirs)


def bare_gather(data: object) -> list[object]:
    """Objects of both ranks by one all_gather of pickled bytes, nothing else."""
    payload = torch.frombuffer(bytearray(pickle.dumps(data)), dtype=torch.uint8)
    parts = [torch.empty_like(payload) for _ in range(2)]
    torch_dist.all_gather(parts, payload)
    return [pickle.loads(part.numpy().tobytes()) for part in parts]


def wrapper_costs() -> dict[str, float]:
    """Python time that a wrapper adds, where nothing is sent: the bare calls replaced by ones that return at once."""
    data, real = (
        torch.ones(8),
        {name: getattr(torch_dist, name) for name in ("all_reduce", "broadcast", "all_gather", "barrier")},
    )
    costs: dict[str, float] = {}
    try:
        for name in real:
            setattr(torch_dist, name, lambda *args, **kwargs: None)
        calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "all_reduce": (lambda: dist.all_reduce(data), lambda: torch_dist.all_reduce(data)),
            "broadcast": (lambda: dist.broadcast(data), lambda: torch_dist.broadcast(data, 0)),
            "all_gather": (
                lambda: dist.all_gather(data),
                lambda: torch_dist.all_gather([torch.empty_like(data) for _ in range(2)], data),
            ),
            "barrier": (dist.barrier, torch_dist.barrier),
        }
        for name, (ours, bare) in calls.items():
            rounds = [(plain_us(ours), plain_us(bare)) for _ in range(4 * ROUNDS)]
            costs[name] = min(mine for mine, _ in rounds) - min(theirs for _, theirs in rounds)
    finally:
        for name, function in real.items():
            setattr(torch_dist, name, function)
    return costs


def plain_us(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - started) / CALLS * 1e6


def peak_ratio(device: str) -> float:
    """Memory that rank 0 needs at most while it collects, over that of the collected data."""
    rank = dist.get_rank()
    part = [{"id": i, "boxes": b"\1" * 20_000} for i in range(rank, 4000, 2)]  # 40 MB on each rank
    process = psutil.Process(os.getpid())
    dist.barrier()
    before = process.memory_info().rss - sum(len(each["boxes"]) for each in part)  # type: ignore[arg-type, misc]
    sampler = PeakSampler(process)
    with sampler:
        collected = dist.collect_results(part, 4000, device)
    data_bytes = 4000 * 20_000
    assert rank or collected is not None
    return (sampler.peak_bytes - before) / data_bytes


class PeakSampler:
    def __init__(self, process: psutil.Process) -> None:
        import threading

        self.process, self.peak_bytes = process, 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self.done.wait(0.002):
            self.peak_bytes = max(self.peak_bytes, self.process.memory_info().rss)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()


def fails_after(what_others_do: str) -> None:
    """Rank 1 fails; the processes print when that was, and when rank 0 had the traceback of it."""
    if dist.get_rank() == 1:
        time.sleep(1)  # rank 0 is where it should be
        print(time.time(), flush=True)
        raise ValueError("the data of rank 1 is broken")
    try:
        time.sleep(600) if what_others_do == "compute" else dist.all_reduce(torch.ones(1))
    except dist.PeerFailedError as error:
        if "the data of rank 1 is broken" in error.traceback:
            print(time.time(), flush=True)


def main() -> None:
    torch.set_num_threads(1)
    dist.init_dist("pytorch", backend="gloo", timeout=300)
    dist.start_watch()
    if len(sys.argv) > 1:
        dist.barrier()
        fails_after(sys.argv[1])
        return
    rank = dist.get_rank()
    figures: dict[str, object] = {"costs": wrapper_costs()}
    data = torch.ones(8)
    figures["all_reduce"] = pair(
        lambda: dist.all_reduce(data, "max"), lambda: torch_dist.all_reduce(data, torch_dist.ReduceOp.MAX), 50
    )
    part = [{"id": i, "score": 0.5 * i, "label": "cat"} for i in range(rank, SAMPLES, 2)]
    for name, call in {
        "all_gather_object": lambda: dist.all_gather_object(part),
        "collect_results cpu": lambda: dist.collect_results(part, SAMPLES, "cpu"),
        "collect_results gpu": lambda: dist.collect_results(part, SAMPLES, "gpu"),
    }.items():
        figures[name] = pair(call, lambda: bare_gather(part), 1)
    figures["peak cpu"], figures["peak gpu"] = peak_ratio("cpu"), peak_ratio("gpu")
    if rank == 0:
        print(json.dumps(figures))
    torch_dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
