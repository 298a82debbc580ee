"""What per-sample random numbers cost, and how fast a sampler enters the middle of an epoch."""

from __future__ import annotations

import pickle
import timeit

from eng.dataset import BaseDataset, DefaultSampler, InfiniteSampler, reproducible_loader_parts


class Tiny(BaseDataset):
    def load_data_list(self):
        return [{"x": i} for i in range(512)]


def test_cost_of_per_sample_randomness(versus):
    """A batch of 32, with the pickled trip of its indices to a worker, against the same without keys."""
    dataset = Tiny()
    plain = list(range(32))
    _, sampler, _ = reproducible_loader_parts(dataset, DefaultSampler(dataset, seed=0), seed=0)
    keyed = list(sampler)[:32]

    def fetch(indices):
        return dataset.__getitems__(pickle.loads(pickle.dumps(indices)))

    without, with_keys = (
        min(timeit.repeat(lambda i=i: fetch(i), number=50, repeat=9)) / 50 / 32 for i in (plain, keyed)
    )
    versus.report("per-sample randomness, per sample", f"{(with_keys - without) * 1e6:.1f} us", "<= 30", "batch of 32")


def test_seek(versus):
    million = range(1_000_000)
    infinite = InfiniteSampler(million, shuffle=False, seed=0)

    def enter(position):
        infinite.seek(position)
        return next(iter(infinite))

    versus("seek to 10^12 against seek to 0", lambda: enter(10**12), lambda: enter(0), target="<= 1.5")
    default = DefaultSampler(million, seed=0)

    def late():
        default.seek(999_000)
        return list(default)

    def early():
        default.seek(0)
        return next(iter(default))

    versus("1 M samples: the last thousand against the first one", late, early, target="<= 1.5", rounds=5, number=3)
