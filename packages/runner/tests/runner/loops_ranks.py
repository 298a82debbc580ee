"""Two ranks of gloo, started as a script by test_ranks.py; prints what passed."""

from __future__ import annotations

import os
import sys
import tempfile

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, WeightedRandomSampler

from eng.evaluator import BaseMetric
from eng.model import BaseModel
from eng.runner import Runner


class Numbers(Dataset):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index):
        return {"x": torch.tensor([float(index)]), "y": torch.tensor([3.0 * index])}


class Line(BaseModel):
    """Predicts the number of each sample, and gives losses with it in `predict` where asked to."""

    def __init__(self, gives_losses: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fit = nn.Linear(1, 1)
        self.gives_losses, self.seen = gives_losses, []

    def forward(self, x, y, mode="tensor"):
        loss = (self.fit(x) - y).square().mean()
        if mode == "loss":
            self.seen += x.flatten().tolist()
            return {"loss": loss}
        predictions = x.flatten().tolist()
        return (predictions, {"loss": loss}) if self.gives_losses else predictions


class Seen(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results += data_samples

    def compute_metrics(self, results):
        return {"sum": sum(results), "count": len(results), "numbers": sorted(results)}


def run(model, **settings) -> Runner:
    folder = [tempfile.mkdtemp()]
    dist.broadcast_object_list(folder)
    return Runner(
        model, folder[0], launcher="pytorch", env_cfg=dict(dist_cfg=dict(backend="gloo")), log_level="ERROR",
        randomness=dict(seed=3), default_hooks=dict(checkpoint=None, logger=None), **settings,
    )  # fmt: skip


def validated(loader, model=None, **val_cfg):
    settings = dict(val_dataloader=loader, val_cfg=val_cfg, val_evaluator=Seen())
    return run(model or Line(), **settings).val()


def loaders_given_as_objects_are_shared_out(rank):
    for size in (7, 8):
        assert validated(DataLoader(Numbers(size), batch_size=2))["numbers"] == list(range(size))
        assert validated(DataLoader(Numbers(size), batch_size=2, shuffle=True))["numbers"] == list(range(size))
    model = Line()
    loader = DataLoader(Numbers(8), batch_size=2, shuffle=True)
    optimizer = dict(optimizer=dict(type="SGD", lr=1e-4))
    run(model, train_dataloader=loader, train_cfg=dict(max_epochs=2), optim_wrapper=optimizer).train()
    of_ranks = [None, None]
    dist.all_gather_object(of_ranks, model.seen)
    for epoch in range(2):
        of_epoch = [seen[epoch * 4 : epoch * 4 + 4] for seen in of_ranks]
        assert sorted(of_epoch[0] + of_epoch[1]) == list(range(8))
    assert of_ranks[0][:4] != of_ranks[0][4:]


def samplers_that_know_ranks_stay(rank):
    numbers = Numbers(8)
    loader = DataLoader(numbers, batch_size=2, sampler=DistributedSampler(numbers, shuffle=False))
    runner = run(Line(), val_dataloader=loader, val_cfg={}, val_evaluator=Seen())
    assert runner.val()["numbers"] == list(range(8))
    assert runner.val_dataloader is loader
    weighted = DataLoader(numbers, batch_size=2, sampler=WeightedRandomSampler([1.0] * 8, 8))
    runner = run(Line(), val_dataloader=weighted, val_cfg={}, val_evaluator=Seen())
    assert runner.val_loop.dataloader is weighted


def validation_losses_count_each_sample_once(rank):
    for size in (5, 7, 8):
        x = torch.arange(size, dtype=torch.float32)[:, None]
        expected = (Line().fit(x) - 3 * x).square().mean().item()
        configured = dict(dataset=Numbers(size), batch_size=2, collate_fn=dict(type="default_collate"))
        for batch_size in (1, 2, 3):
            for model, val_cfg in ((Line(), dict(loss=True)), (Line(gives_losses=True), {})):
                metrics = validated({**configured, "batch_size": batch_size}, model, **val_cfg)
                assert abs(metrics["loss"] - expected) < 1e-4 * expected, (size, batch_size, metrics, expected)
                assert metrics["numbers"] == list(range(size))


def a_static_graph_accumulates(rank):
    weights = []
    for static in (False, True):
        model = Line()
        wrapper = dict(static_graph=static)
        runner = run(
            model, train_dataloader=dict(dataset=Numbers(16), batch_size=2, collate_fn=dict(type="default_collate")),
            train_cfg=dict(max_epochs=3), cfg=dict(model_wrapper_cfg=dict(type="MMDistributedDataParallel", **wrapper)),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=1e-4), accumulative_counts=3),
        )  # fmt: skip
        runner.train()
        weights.append(model.fit.weight.item())
    assert abs(weights[0] - weights[1]) < 1e-6, weights
    both = [None, None]
    dist.all_gather_object(both, weights)
    assert both[0] == both[1]


if __name__ == "__main__":
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=2)
    for scenario in (
        loaders_given_as_objects_are_shared_out,
        samplers_that_know_ranks_stay,
        validation_losses_count_each_sample_once,
        a_static_graph_accumulates,
    ):
        scenario(rank)
        print("passed", scenario.__name__, flush=True)
    dist.destroy_process_group()
