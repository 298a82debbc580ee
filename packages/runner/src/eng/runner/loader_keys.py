"""The keys of a dataloader's config."""

from __future__ import annotations

DATALOADER_KEYS = frozenset(
    [
        "dataset",
        "sampler",
        "batch_sampler",
        "collate_fn",
        "worker_init_fn",
        "num_batch_per_epoch",
        "batch_size",
        "shuffle",
        "shard_stream",
        "num_workers",
        "global_batch_size",
        "pin_memory",
        "drop_last",
        "timeout",
        "multiprocessing_context",
        "generator",
        "prefetch_factor",
        "persistent_workers",
        "pin_memory_device",
        "in_order",
    ]
)
