from __future__ import annotations

from going_on_parts import run
from visualization_parts import events


def test_without_a_local_backend_lines_are_kept_all_the_same(tmp_path, whole) -> None:
    only = [{"type": "TensorboardVisBackend"}]
    run(tmp_path, "20260101_000001", stop_at=6, backends=only)
    folder = run(tmp_path, "20260101_000002", backends=only, resume=True)
    assert events(folder) == events(whole)
