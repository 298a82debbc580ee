"""Prints what a training on several ranks needs: memory of a rank, and bytes that it sends in a step.

python docs/scale_costs.py --parameters 1e8 --ranks 2 --largest-unit 5e6
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

ZERO_3_KEEPS = 1e9  # parameters that ZeRO-3 leaves gathered by default: stage3_max_live_parameters
KINDS = ("DDP", "FSDP2", "FSDP2, kept after forward", "ZeRO-1", "ZeRO-2", "ZeRO-3")


@dataclass(frozen=True)
class Job:
    """A training.

    Args:
        parameters: of the model.
        ranks: number of processes, n.
        largest_unit: parameters of the largest module that is gathered on its own; the model's by default.
        states: tensors of an optimizer for each parameter: 2 for Adam, 1 for SGD with momentum.
        width: bytes of a number: 4 for float32.
        gloo: the exchange runs over gloo, which reduces all where it should reduce and scatter.
        largest_parameter: numbers of the largest parameter, for three of which the optimizer needs memory in its step.
        bucket: numbers of DeepSpeed's ``reduce_bucket_size``, which ZeRO reserves at the first backward.
    """

    parameters: float
    ranks: int
    largest_unit: float | None = None
    states: int = 2
    width: int = 4
    gloo: bool = False
    largest_parameter: float = 0
    bucket: float = 5e8

    @property
    def unit(self) -> float:
        """Parameters that are whole at one time."""
        return self.largest_unit if self.largest_unit is not None else self.parameters


def memory(job: Job, kind: str) -> float:
    """Bytes of parameters, gradients, optimizer state and buffers of the exchange on one rank, without activations.

    >>> memory(Job(1e8, 2), "DDP") / 1e9
    2.0
    >>> memory(Job(1e8, 2, largest_unit=5e6), "FSDP2") / 1e9
    0.86
    >>> memory(Job(1e8, 2), "ZeRO-1") / 1e9
    3.4
    """
    p, n, s = job.parameters, job.ranks, job.states
    numbers = {
        "DDP": p * (3 + s) + 3 * job.largest_parameter,  # parameters, gradients, buckets of the exchange, state
        "FSDP2": p * (2 + s) / n + 3 * job.unit,  # a unit gathered, the next one on its way, its gradients
        "FSDP2, kept after forward": p * (2 + s) / n + p + job.unit,
        "ZeRO-1": 2 * p + (1 + s) * p / n + job.bucket,  # the rank's part of the parameters is there once more
        "ZeRO-2": p + (2 + s) * p / n + job.bucket,
        "ZeRO-3": (3 + s) * p / n + min(p, ZERO_3_KEEPS) + job.unit,
    }
    return numbers[kind] * job.width


def kept(job: Job, kind: str) -> float:
    """Bytes of parameters and optimizer state that a rank keeps from step to step.

    >>> kept(Job(1e8, 4), "DDP") / 1e9, kept(Job(1e8, 4), "FSDP2") / 1e9
    (1.2, 0.3)
    """
    p, n, s = job.parameters, job.ranks, job.states
    numbers = {
        "DDP": p * (1 + s),
        "FSDP2": p * (1 + s) / n,
        "FSDP2, kept after forward": p * (1 + s) / n,
        "ZeRO-1": p + (1 + s) * p / n,
        "ZeRO-2": p + (1 + s) * p / n,
        "ZeRO-3": (2 + s) * p / n,
    }
    return numbers[kind] * job.width


def sent(job: Job, kind: str) -> float:
    """Bytes that one rank sends in a step, by rings: an all-gather or a reduce-scatter sends ``(n - 1) / n`` of all.

    >>> sent(Job(1e6, 2), "DDP")
    4000000.0
    """
    # ZeRO-3 gathers a second time, for the backward, what lies more than a billion parameters back (its default).
    of_zero_3 = 2 if job.parameters <= ZERO_3_KEEPS else 3
    rounds = {"DDP": 2, "FSDP2": 3, "FSDP2, kept after forward": 2, "ZeRO-1": 2, "ZeRO-2": 2, "ZeRO-3": of_zero_3}
    more = 1 if job.gloo and kind != "DDP" else 0
    return (rounds[kind] + more) * (job.ranks - 1) / job.ranks * job.parameters * job.width


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parameters", type=float, default=1e8)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--largest-unit", type=float)
    parser.add_argument("--states", type=int, default=2)
    parser.add_argument("--width", type=int, default=4)
    parser.add_argument("--gloo", action="store_true")
    parser.add_argument("--largest-parameter", type=float, default=Job.largest_parameter)
    parser.add_argument("--bucket", type=float, default=Job.bucket)
    job = Job(**vars(parser.parse_args()))
    print(f"{'':<27}{'GB on a rank':>14}{'GB sent in a step':>20}")
    for kind in KINDS:
        print(f"{kind:<27}{memory(job, kind) / 1e9:>14.3f}{sent(job, kind) / 1e9:>20.3f}")


if __name__ == "__main__":
    main()
