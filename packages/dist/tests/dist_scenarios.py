"""Ranks that fail, hang, leave or disagree. Started as a script: python dist_scenarios.py NAME."""

from __future__ import annotations

import ctypes
import inspect
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as torch_dist
from dist_workers import raised

import eng.dist as dist

FOREVER_S = 600


def fails_while_others_communicate(rank: int) -> None:
    if rank == 1:
        raise ValueError("the data of rank 1 is broken")
    dist.all_reduce(torch.ones(1))


def fails_while_others_compute(rank: int) -> None:
    if rank == 1:
        raise ValueError("the data of rank 1 is broken")
    time.sleep(FOREVER_S)


def fails_while_one_holds_the_interpreter(rank: int) -> None:
    if rank == 1:
        raise ValueError("the data of rank 1 is broken")
    if rank == 2:
        ctypes.PyDLL(None).usleep(1_500_000)  # unlike a CDLL, it keeps the other threads out
    time.sleep(FOREVER_S)


def fails_while_rank_0_ends(rank: int) -> None:
    if rank == 0:
        time.sleep(0.1)  # the failure is published then, but not looked at
        return
    fails_while_one_holds_the_interpreter(rank)


def fails_while_others_are_in_native_code(rank: int) -> None:
    if rank == 1:
        raise ValueError("the data of rank 1 is broken")
    # Waits in C++ for a key that never comes, over connections that stay open.
    own = torch_dist.TCPStore("127.0.0.1", 0, None, True, wait_for_workers=False)
    own.wait(["never"], timedelta(seconds=FOREVER_S))


def exits_with_an_error(rank: int) -> None:
    with dist.share_faults():
        if rank == 1:
            sys.exit(3)
        dist.barrier()


def is_caught_by_the_program(rank: int) -> None:
    try:
        with dist.share_faults():
            if rank == 1:
                raise ValueError("the data of rank 1 is broken")
            dist.barrier()
    except ValueError:
        os._exit(1)  # as a spawned process ends: no hook of the interpreter runs
    except dist.PeerFailedError as error:
        print("told of", error.rank, "is_caught_by_the_program" in error.traceback)
        raise


def comes_late(rank: int) -> None:
    if rank == 1:
        time.sleep(5)  # the line that the others are shown
    dist.barrier()
    if rank == 2:
        time.sleep(5)  # another line, of another rank
    dist.all_reduce(torch.ones(1))
    with dist.watched("the step"):
        dist.barrier()  # it gives back what it is part of
        if rank == 0:
            time.sleep(3)  # a line in the block
        torch_dist.all_reduce(torch.ones(1))
    print(f"rank {rank} ended well")


def leaves_early(rank: int) -> None:
    for _ in range(2 if rank == 1 else 3):  # a loader that is one batch shorter
        dist.all_reduce(torch.ones(1))


def sends_more_than_the_other(rank: int) -> None:
    dist.all_reduce(torch.ones(100 * (rank + 1)))  # gloo aborts the rank that expects less


def trains_one_batch_more(rank: int) -> None:
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(100, 100))
    for _ in range(3 if rank == 0 else 2):
        with dist.watched("the training step"):
            model(torch.ones(2, 100)).sum().backward()
    dist.all_reduce(torch.ones(1))


def outlives_its_launcher(rank: int) -> None:
    # A single write, because both ranks write their lines into one file; `print` may write a line break separately.
    os.write(1, f"started {os.getpid()}\n".encode())
    time.sleep(FOREVER_S)


def line_of(call: Callable[[], None], rank: int) -> int:
    """The line from which `rank` calls eng.dist in `call`: the only one, or that of rank 1 and that of the others."""
    lines, first = inspect.getsourcelines(call)
    calls = [first + number for number, text in enumerate(lines) if "dist." in text]
    return calls[0] if rank == 1 else calls[-1]


def disagree(rank: int) -> None:
    def other_collective() -> None:
        if rank == 1:
            dist.barrier()
        else:
            dist.all_reduce(torch.ones(2))

    def other_shape() -> None:
        dist.all_gather(torch.ones(2 + rank))

    def other_type() -> None:
        dist.broadcast(torch.ones(2, dtype=torch.float64 if rank == 2 else torch.float32))

    def other_operation() -> None:
        dist.all_reduce(torch.ones(2), "max" if rank == 0 else "sum")

    def other_source() -> None:
        dist.broadcast(torch.ones(2), src=rank)

    def other_function() -> None:
        dist.all_gather_object(rank) if rank == 1 else dist.gather_object(rank)

    def other_names() -> None:
        dist.all_reduce_dict({"loss": torch.ones(1), "extra" if rank == 1 else "acc": torch.ones(1)})

    def other_parts() -> None:
        dist.all_reduce_params([torch.ones(2), torch.ones(1)][:: -1 if rank == 1 else 1])

    def no_names() -> None:
        dist.all_reduce_dict({} if rank == 1 else {"loss": torch.ones(1)})

    expected = {
        other_names: ([1], "'acc': float32 [1], 'loss': float32 [1]", "'extra': float32 [1], 'loss': float32 [1]"),
        other_parts: (
            [1],
            "all_reduce_params(float32 [2], float32 [1])",
            "all_reduce_params(float32 [1], float32 [2])",
        ),
        no_names: ([1], "all_reduce_dict()", "all_reduce_dict('loss': float32 [1])"),
        other_collective: ([1], "barrier()", "all_reduce(float32 [2], op=SUM)"),
        other_shape: (None, "all_gather(float32 [2])", "all_gather(float32 [4])"),
        other_type: ([2], "float64", "float32"),
        other_operation: ([0], "op=MAX", "op=SUM"),
        other_source: (None, "src=0", "src=2"),
        other_function: ([1], "all_gather_object", "gather_object"),
    }
    for call, (ranks, *texts) in expected.items():
        error = raised(call, dist.CollectiveMismatchError)
        assert ranks is None or error.ranks == tuple(ranks), (call.__name__, error)
        assert all(text in str(error) for text in texts), (call.__name__, error)
        assert set(error.calls) == {0, 1, 2}
        for other, text in error.calls.items():
            wanted = line_of(call, other)
            assert text.endswith(f"dist_scenarios.py:{wanted}"), (call.__name__, other, wanted, text)
    data = torch.tensor([rank])
    dist.all_reduce(data)  # agreement is no obstacle, and the count is in step again
    assert data.item() == 3
    group = torch_dist.new_group([1, 2])
    if rank:
        assert dist.all_gather_object(rank, group) == [1, 2]
    dist.barrier()
    print(f"rank {rank} ended well")


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_dist("pytorch", backend="gloo", timeout=120)
    dist.start_watch()
    dist.barrier()
    globals()[sys.argv[1]](dist.get_rank())
    torch_dist.destroy_process_group()
