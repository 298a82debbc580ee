"""A run with the settings that an exact resume depends on, each of which the tests of this folder switch.

    python exact_product.py serve

takes one run a line from its standard input, as ``resumable.py`` does, whose parts it uses.
"""

from __future__ import annotations

import argparse
import random
import sys

import numpy as np
import torch
from resumable import BATCH, MeanError, Numbers, Regression, Strike, serve
from torch.utils.data import DataLoader, RandomSampler, Sampler

from eng.dataset import pseudo_collate
from eng.registry import HOOKS
from eng.runner import Runner

GENERATORS = ("none", "global", "loader", "sampler", "numpy")


class Drawn(Sampler[int]):
    """Draws each number from a generator of numpy when it is asked for, so that workers draw ahead of training."""

    def __init__(self, size: int) -> None:
        self.size, self.generator = size, np.random.default_rng(5)

    def __iter__(self):
        order = list(range(self.size))
        while order:
            yield order.pop(int(self.generator.integers(len(order))))

    def __len__(self) -> int:
        return self.size


class OtherNumbers(torch.utils.data.Dataset):
    """The samples of ``Numbers`` with random augmentation, in a dataset that knows nothing of eng."""

    def __init__(self, noted: bool) -> None:
        self.numbers = Numbers(noted=noted, pipeline=[])

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index):
        x = self.numbers[index]["x"]
        noise = random.random() + float(np.random.rand()) + float(torch.rand(()))
        return {"inputs": torch.tensor([x, noise, x**2, 1.0]), "target": torch.tensor([x * 3])}


def loader(args: argparse.Namespace, training: bool):
    """The loader as a config, or as an object where the user gives generators."""
    persistent = args.persistent if training else args.val_persistent
    workers = dict(num_workers=args.workers, persistent_workers=bool(persistent and args.workers))
    if args.generator == "none":
        dataset = dict(type="Numbers", noted=training, pipeline=[dict(type="Shake")])
        return dict(dataset=dataset, sampler=dict(type="DefaultSampler", shuffle=training), batch_size=BATCH, **workers)
    dataset = OtherNumbers(noted=training)
    own = torch.Generator().manual_seed(11)
    order = {
        "global": dict(shuffle=True),
        "loader": dict(shuffle=True, generator=own),
        "sampler": dict(sampler=RandomSampler(dataset, generator=own)),
        "numpy": dict(sampler=Drawn(len(dataset))),
    }[args.generator]
    return DataLoader(dataset, batch_size=BATCH, collate_fn=pseudo_collate, **order, **workers)


def settings(args: argparse.Namespace) -> dict:
    by_epoch = not args.by_iter
    hooks = [dict(type="EMAHook", momentum=0.1)] if args.ema else []
    if args.kill:
        hooks.append(Strike(args.kill[0], int(args.kill[1]), "SIGKILL"))
    checkpoint = dict(type="CheckpointHook", interval=1 if by_epoch else 4, by_epoch=by_epoch)
    return dict(
        model=Regression(),
        work_dir=args.work_dir,
        train_dataloader=loader(args, True),
        val_dataloader=loader(args, False) if args.val else None,
        val_evaluator=MeanError() if args.val else None,
        val_cfg=dict() if args.val else None,
        train_cfg=dict(max_epochs=3) if by_epoch else dict(by_epoch=False, max_iters=27, val_interval=7),
        optim_wrapper=dict(
            optimizer=dict(type="SGD", lr=0.05, momentum=0.9), accumulative_counts=args.accumulate, clip_grad=dict(max_norm=1.0)
        ),
        param_scheduler=dict(type="CosineAnnealingLR", by_epoch=by_epoch),
        default_hooks=dict(checkpoint=checkpoint, logger=dict(type="LoggerHook", interval=3)),
        custom_hooks=hooks,
        randomness=dict(seed=7),
        resume=args.resume,
        log_level="ERROR",
    )  # fmt: skip


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("work_dir")
    for switch in ("resume", "by-iter", "persistent", "val", "val-persistent", "ema"):
        parser.add_argument(f"--{switch}", action="store_true")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--generator", choices=GENERATORS, default="none")
    parser.add_argument("--kill", nargs=2)
    args = parser.parse_args(words)
    torch.manual_seed(3)  # the model is an object: its weights are set here
    Runner(**settings(args)).train()


if __name__ == "__main__":
    assert HOOKS.get("Strike") is Strike
    serve(main) if sys.argv[1:] == ["serve"] else main(sys.argv[1:])
