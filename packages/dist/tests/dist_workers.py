"""What the ranks of the tests' process groups do. Importable by name, as spawned processes need it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
import torch.distributed as torch_dist
from torch import Tensor

import eng.dist as dist


def start_spawned(rank: int, world_size: int, port: int, timeout: int = 60) -> None:
    """Joins as a process that was started by hand, with the variables that torchrun would set."""
    os.environ.update(
        RANK=str(rank),
        WORLD_SIZE=str(world_size),
        LOCAL_RANK=str(rank),
        LOCAL_WORLD_SIZE=str(world_size),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    dist.init_dist("pytorch", backend="gloo", timeout=timeout)


def spawned(rank: int, world_size: int, port: int, name: str, folder: str) -> None:
    """Runs the check called `name` inside a process group; leaves a file in `folder` when it has passed."""
    torch.set_num_threads(1)
    start_spawned(rank, world_size, port)
    try:
        globals()[name]()
    finally:
        torch_dist.destroy_process_group()
    Path(folder, f"passed-{rank}").touch()


def plain_group(rank: int, world_size: int, port: int, folder: str) -> None:
    """A group that torch alone started, in debug mode: compared without a watch, then with one."""
    url = f"tcp://127.0.0.1:{port}"
    torch_dist.init_process_group("gloo", init_method=url, rank=rank, world_size=world_size)
    error = raised(lambda: dist.all_reduce(torch.ones(1 + rank)), dist.CollectiveMismatchError)
    assert "all_reduce(float32 [2], op=SUM)" in str(error) and "no call has a majority" in str(error)
    dist.start_watch(budget_s=60)
    dist.start_watch()
    assert dist.all_gather_object(rank) == [0, 1]
    assert "init_local_group" in str(raised(dist.get_local_rank, RuntimeError))
    torch_dist.destroy_process_group()
    Path(folder, f"passed-{rank}").touch()


def raised(call: object, *kinds: type[BaseException]) -> BaseException:
    try:
        call()  # type: ignore[operator]
    except kinds as error:
        # A traceback keeps the caller's frame, and with it process groups that `destroy_process_group` should end. Their
        # gloo threads then release tensors while the interpreter shuts down, and torch 2.13 aborts the process.
        return error.with_traceback(None)
    raise AssertionError(f"none of {kinds} was raised")


def check_all() -> None:
    check_environment()
    check_all_reduce()
    check_odd_types()
    check_gathering()
    check_broadcast()
    check_objects()
    check_fused()
    check_groups()
    check_results_by_position()
    check_results_by_index()
    check_unpicklable()
    check_against_one_process()
    check_local_group()


def check_environment() -> None:
    rank, size = torch_dist.get_rank(), torch_dist.get_world_size()
    assert dist.get_dist_info() == (rank, size)
    assert dist.is_distributed()
    assert dist.get_backend() == "gloo"
    assert dist.is_main_process() == (rank == 0)
    assert dist.get_default_group() is torch_dist.group.WORLD
    assert dist.get_comm_device() == torch.device("cpu")
    assert dist.get_local_rank() == rank and dist.get_local_size() == size
    assert dist.master_only(lambda: "ran")() == ("ran" if rank == 0 else None)
    assert "init_local_group" in str(raised(dist.get_local_group, RuntimeError))
    dist.barrier()


def check_all_reduce() -> None:
    rank, size = dist.get_dist_info()
    values = torch.stack([torch.tensor([r + 1.0, -r, 2.0]) for r in range(size)])
    expected = {
        "sum": values.sum(0),
        "mean": values.mean(0),
        "min": values.amin(0),
        "max": values.amax(0),
        "product": values.prod(0),
    }
    for op, wanted in expected.items():
        data = values[rank].clone()
        assert dist.all_reduce(data, op) is None
        torch.testing.assert_close(data, wanted)
    bits = torch.tensor([rank + 1, 6])
    for op, function in {"band": int.__and__, "bor": int.__or__, "bxor": int.__xor__}.items():
        data = bits.clone()
        dist.all_reduce(data, op)
        first, second = 1, 6
        for r in range(1, size):
            first, second = function(first, r + 1), function(second, 6)
        assert data.tolist() == [first, second], op
    assert "mean" in str(raised(lambda: dist.all_reduce(bits, "maen"), ValueError))


def check_odd_types() -> None:
    rank, size = dist.get_dist_info()
    ranks = range(size)
    for dtype in (torch.bool, torch.int16, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.complex64):
        mine = torch.tensor([[rank % 2, 1], [0, rank]]).to(dtype)
        everyone = [torch.tensor([[r % 2, 1], [0, r]]).to(dtype) for r in ranks]
        for got, wanted in zip(dist.all_gather(mine), everyone, strict=True):
            assert got.dtype == dtype and torch.equal(got, wanted), dtype
        data = mine.clone()
        dist.broadcast(data, src=size - 1)
        assert torch.equal(data, everyone[-1]), dtype
        data = mine.clone()
        dist.all_reduce(data)
        wanted = torch.stack(everyone).any(0) if dtype is torch.bool else torch.stack(everyone).sum(0).to(dtype)
        assert data.dtype == dtype and torch.equal(data, wanted), dtype
    truth = torch.tensor([True, rank == 0])
    dist.all_reduce(truth, "product")
    assert truth.tolist() == [True, False]
    assert "truth" in str(raised(lambda: dist.all_reduce(truth, "mean"), TypeError))
    big = torch.tensor([2**60 + rank, -3])
    dist.all_reduce(big, "mean")
    assert big.tolist() == [(size * 2**60 + sum(ranks)) // size, -3]  # exact: no detour over floats
    wide = torch.arange(12.0).reshape(3, 4)
    columns = wide[:, ::2]
    dist.all_reduce(columns)
    assert torch.equal(wide[:, ::2], torch.arange(12.0).reshape(3, 4)[:, ::2] * size)
    assert torch.equal(wide[:, 1::2], torch.arange(12.0).reshape(3, 4)[:, 1::2])  # between the columns: untouched
    turned = torch.full((2, 3), float(rank)).t()
    dist.broadcast(turned, 1)
    assert torch.equal(turned, torch.ones(3, 2))
    for empty in (torch.empty(0), torch.empty(3, 0, dtype=torch.bool)):
        dist.all_reduce(empty)
        dist.broadcast(empty)
        assert [part.shape for part in dist.all_gather(empty)] == [empty.shape] * size
    parameter = torch.nn.Parameter(torch.ones(2))
    dist.all_reduce(parameter)
    assert parameter.tolist() == [size, size]


def check_gathering() -> None:
    rank, size = dist.get_dist_info()
    mine = torch.tensor([rank, rank + 1])
    got = dist.gather(mine, dst=1)
    assert got == [] if rank != 1 else [part.tolist() for part in got] == [[r, r + 1] for r in range(size)]
    uneven = torch.full((rank, 2), float(rank))
    parts = dist.all_gather(uneven, uneven=True)
    assert [tuple(part.shape) for part in parts] == [(r, 2) for r in range(size)]
    assert all((part == r).all() for r, part in enumerate(parts))
    dims = torch.ones([1] * rank, dtype=torch.bool)
    assert [part.dim() for part in dist.all_gather(dims, uneven=True)] == list(range(size))
    got = dist.gather(uneven, dst=0, uneven=True)
    assert [tuple(part.shape) for part in got] == ([(r, 2) for r in range(size)] if rank == 0 else [])
    assert "one of" in str(raised(lambda: dist.gather(mine, dst=size), ValueError))


def check_broadcast() -> None:
    rank, size = dist.get_dist_info()
    for src in range(size):
        data = torch.full((2, 2), float(rank))
        assert dist.broadcast(data, src) is None
        assert (data == src).all()
    seeds = dist.all_gather_object(dist.sync_random_seed())
    assert len(set(seeds)) == 1 and 0 <= seeds[0] < 2**31


def check_objects() -> None:
    rank, size = dist.get_dist_info()
    mine = {"rank": rank, "text": "x" * 1000 * rank, "data": torch.full((rank,), rank)}
    everyone = dist.all_gather_object(mine)
    assert everyone[rank] is mine  # no copy where nothing is sent
    for r, got in enumerate(everyone):
        assert got["rank"] == r and len(got["text"]) == 1000 * r and got["data"].tolist() == [r] * r
    gathered = dist.gather_object(mine, dst=1)
    assert gathered is None if rank != 1 else [each["rank"] for each in gathered] == list(range(size))
    assert rank != 1 or gathered[1] is mine
    items = [rank, {"r": rank}, None]
    assert dist.broadcast_object_list(items, src=1) is None
    assert items == [1, {"r": 1}, None]
    assert "list" in str(raised(lambda: dist.broadcast_object_list((1,)), TypeError))


def check_fused() -> None:
    rank, size = dist.get_dist_info()
    total = sum(range(size))
    calls = CountedCalls()
    with calls:
        logs = {f"loss_{i}": torch.tensor(float(rank * i)) for i in range(50)}
        dist.all_reduce_dict(logs)
    assert calls.number == 1
    assert all(logs[f"loss_{i}"] == total * i for i in range(50))
    order = range(3) if rank % 2 else range(2, -1, -1)  # the order of keys may differ between ranks
    values = {
        0: torch.tensor([[rank, 2**40 + rank]]),
        1: torch.tensor(rank + 0.5),
        2: torch.tensor(-rank, dtype=torch.int16),
    }
    for op in ("sum", "mean"):
        data = {f"k{i}": values[i].clone() for i in order}
        with calls:
            dist.all_reduce_dict(data, op)
        assert calls.number == 1, "a mixture of types is one collective too"
        by = size if op == "mean" else 1
        assert data["k0"].tolist() == [[total // by, (size * 2**40 + total) // by]] and data["k0"].dtype == torch.int64
        torch.testing.assert_close(data["k1"], torch.tensor((total + size * 0.5) / by))
        assert data["k2"].item() == int(-total / by) and data["k2"].dtype == torch.int16
    data = {"a": torch.tensor(rank), "b": torch.tensor(-1.5 * rank)}
    dist.all_reduce_dict(data, "max")
    assert data == {"a": torch.tensor(size - 1), "b": torch.tensor(0.0)}
    assert "'b'" in str(raised(lambda: dist.all_reduce_dict({"a": torch.ones(1), "b": 1}), TypeError))
    dist.all_reduce_dict({})
    for coalesce, bucket in ((True, -1), (True, 1), (False, -1)):
        params = [torch.full((300_000,), float(rank)), torch.ones(2, 3) * rank, torch.tensor([rank])]
        with calls:
            dist.all_reduce_params((param for param in params), coalesce, bucket)
        assert calls.number == (2 if coalesce and bucket < 0 else 3), (coalesce, bucket, calls.number)
        assert all((param == total).all() for param in params)


class CountedCalls:
    """Counts the reductions that reach torch.distributed."""

    def __enter__(self) -> None:
        self.number, self.real = 0, torch_dist.all_reduce

        def counted(*args: object, **kwargs: object) -> object:
            self.number += 1
            return self.real(*args, **kwargs)

        torch_dist.all_reduce = counted

    def __exit__(self, *_: object) -> None:
        torch_dist.all_reduce = self.real


def check_groups() -> None:
    rank, size = dist.get_dist_info()
    members = list(range(1, size))
    group = torch_dist.new_group(members)
    data = torch.tensor([float(rank)])
    if rank == 0:
        assert dist.get_rank(group) == -1 and dist.get_world_size(group) == -1
        dist.all_reduce(data, group=group)
        assert data.item() == 0 and dist.all_gather(data, group) == [] and dist.gather_object(1, group=group) is None
        return
    assert dist.get_dist_info(group) == (rank - 1, size - 1)
    assert dist.is_main_process(group) == (rank == 1)
    dist.all_reduce(data, group=group)
    assert data.item() == sum(members)
    assert dist.all_gather_object(rank, group) == members
    last = size - 1  # numbers of sources and destinations are those among all processes
    assert dist.gather_object(rank, dst=last, group=group) == (members if rank == last else None)
    items = [rank]
    dist.broadcast_object_list(items, src=last, group=group)
    assert items == [last]
    assert size == 2 or "one of" in str(raised(lambda: dist.broadcast(data, 0, group), ValueError))
    dist.barrier(group)


def check_results_by_position() -> None:
    rank, size = dist.get_dist_info()
    for samples in (1, 7, 8, 12):
        padded = -(-samples // size) * size
        dealt = {
            "padded": [i % samples for i in range(rank, padded, size)],  # what a sampler does that rounds up
            "uneven": list(range(rank, samples, size)),  # and one that does not
        }
        for mine in dealt.values():
            for device in ("cpu", "gpu"):
                got = dist.collect_results([{"id": i} for i in mine], samples, device)
                assert got == ([{"id": i} for i in range(samples)] if rank == 0 else None)
    assert "cpu" in str(raised(lambda: dist.collect_results([], 0, "disk"), ValueError))


def check_results_by_index() -> None:
    rank, size = dist.get_dist_info()
    samples = 11
    blocks = [i % samples for i in range(rank * 4, rank * 4 + max(4, -(-samples // size)))]  # contiguous, overlapping
    everyone = dist.all_gather_object(blocks)
    if set().union(*everyone) == set(range(samples)):
        for device in ("cpu", "gpu"):
            got = dist.collect_results([f"r{i}" for i in blocks], samples, device, indices=blocks)
            assert got == ([f"r{i}" for i in range(samples)] if rank == 0 else None)
    indices = [rank]
    if rank == 0:  # the others handed over and went on
        error = raised(lambda: dist.collect_results_gpu(["r"], size + 2, indices=indices), dist.ResultsError)
        assert f"{size}, {size + 1}" in str(error)
    else:
        dist.collect_results_gpu(["r"], size + 2, indices=indices)


def check_unpicklable() -> None:
    rank, size = dist.get_dist_info()
    bad = {"fine": 1, "fn": [lambda: 0]} if rank == 1 else {"fine": 1}
    for call in (
        lambda: dist.all_gather_object(bad),
        lambda: dist.gather_object(bad, dst=0),
        lambda: dist.collect_results([bad], size),
        lambda: dist.broadcast_object_list([bad], src=1),
    ):
        error = raised(call, dist.UnpicklableError)
        assert error.ranks == (1,) and (rank != 1 or "['fn'][0]" in str(error)), error
    dist.barrier()


def check_against_one_process() -> None:
    """Random shapes and types: what the ranks compute together equals what one process computes from all inputs."""
    rank, size = dist.get_dist_info()
    rng = torch.Generator().manual_seed(7)

    def draw(limit: int) -> int:
        return int(torch.randint(limit, (1,), generator=rng))

    for _ in range(25):
        shape = [draw(4) for _ in range(draw(4))]
        dtype = [torch.float32, torch.int64, torch.bool, torch.float64, torch.int16][draw(5)]
        everyone: list[Tensor] = [torch.randint(-5, 6, shape, generator=rng).to(dtype) for _ in range(size)]
        mine = everyone[rank]
        if draw(2) and mine.dim() > 1:
            mine = mine.transpose(0, 1).contiguous().transpose(0, 1)
        assert all(torch.equal(a, b) for a, b in zip(dist.all_gather(mine), everyone, strict=True))
        reduced = mine.clone()
        dist.all_reduce(reduced, "max")
        assert torch.equal(reduced, torch.stack([each.to(torch.float64) for each in everyone]).amax(0).to(dtype))
        src = draw(size)
        sent = mine.clone()
        dist.broadcast(sent, src)
        assert torch.equal(sent, everyone[src])


def check_data_on_an_accelerator() -> None:
    """The group's backend, gloo, sends from the CPU; the data are elsewhere and come back there."""
    rank, size = dist.get_dist_info()
    device, ranks = torch.device("cuda", 0), range(size)
    mine = torch.tensor([[rank, 1], [0, rank]], dtype=torch.int16, device=device)
    assert dist.get_comm_device() == torch.device("cpu") and dist.get_data_device(mine) == device
    parts = dist.all_gather(mine)
    assert [part.device for part in parts] == [device] * size and [int(part[0, 0]) for part in parts] == list(ranks)
    uneven = dist.all_gather(torch.ones(rank, device=device), uneven=True)
    assert [part.shape[0] for part in uneven] == list(ranks) and {part.device for part in uneven} == {device}
    data, sent = mine.t().float(), mine.clone()
    dist.all_reduce(data)
    dist.broadcast(sent, src=1)
    assert data.device == sent.device == device
    assert data.tolist() == [[sum(ranks), 0], [size, sum(ranks)]] and sent.tolist() == [[1, 1], [0, 1]]
    logs = {"loss": torch.tensor(float(rank), device=device), "count": torch.tensor(rank)}
    dist.all_reduce_dict(logs, "mean")
    assert logs["loss"].device == device and logs["count"].device.type == "cpu"
    assert logs["loss"].item() == sum(ranks) / size


def check_local_group() -> None:
    rank, size = dist.get_dist_info()
    error = raised(lambda: dist.init_local_group(rank + 1, 1), ValueError)
    assert f"rank {rank}" in str(error)
    dist.init_local_group(rank // 2, 2)  # as if two processes ran on each machine
    mates = [r for r in range(size) if r // 2 == rank // 2]
    assert dist.get_local_size() == len(mates) and dist.get_local_rank() == rank % 2
    assert dist.all_gather_object(rank, dist.get_local_group()) == mates
    assert "already" in str(raised(lambda: dist.init_local_group(0, size), RuntimeError))


if __name__ == "__main__":
    # python dist_workers.py LAUNCHER CHECK: as torchrun, mpirun and srun start it
    torch.set_num_threads(1)
    dist.init_dist(sys.argv[1], backend="gloo", timeout=60)
    globals()[sys.argv[2]]()
    dist.barrier()
    if dist.is_main_process():
        print(f"passed with {dist.get_world_size()} ranks")
    torch_dist.destroy_process_group()
