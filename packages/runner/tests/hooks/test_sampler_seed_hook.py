from __future__ import annotations

from torch.utils.data import BatchSampler, DataLoader

from eng.dataset import DefaultSampler
from eng.hooks import DistSamplerSeedHook


def test_the_sampler_behind_a_batch_sampler_learns_the_epoch(make_runner, parts) -> None:
    dataset = parts.loader().dataset
    sampler = DefaultSampler(dataset, shuffle=True, seed=1)
    loader = DataLoader(dataset, batch_sampler=BatchSampler(sampler, 2, drop_last=False))
    runner = make_runner(train_dataloader=loader, default_hooks=dict(sampler_seed=None))
    runner.register_hook(DistSamplerSeedHook())
    runner.train()
    assert sampler.epoch == 1
