"""Two ranks of gloo that train with the package schedulefree, started as a script by test_schedule_free.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import schedulefree
import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[3] / "packages/runner/tests/runner"))
from optimizer_ranks import by_hand, compare

if __name__ == "__main__":
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=2)
    for name, lr in (("AdamWScheduleFree", 0.01), ("SGDScheduleFree", 0.2)):
        optimizer = getattr(schedulefree, name)
        expected = by_hand(lambda model, optimizer=optimizer, lr=lr: [optimizer(model.parameters(), lr=lr)])
        compare({"type": name, "lr": lr}, expected, resumes_at=(9,))
    print("passed", flush=True)
    dist.barrier()  # neither rank closes its connections while the other still uses them
    dist.destroy_process_group()
