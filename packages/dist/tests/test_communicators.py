from __future__ import annotations

from pathlib import Path

import dist_workers
import pytest
import torch.multiprocessing as mp

import eng.dist as dist


@pytest.mark.timeout(60)
def test_group_started_without_init_dist_is_watched_and_checked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ENG_DIST_DEBUG", "1")
    mp.spawn(dist_workers.plain_group, (2, dist.find_free_port(), str(tmp_path)), nprocs=2)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["passed-0", "passed-1"]
