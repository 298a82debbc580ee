from __future__ import annotations

import threading

from eng.visualization import Visualizer
from eng.visualization.axis import step_counts


def test_a_tracker_without_engs_attributes_is_called_where_the_run_is(plain, tmp_path) -> None:
    visualizer = Visualizer(vis_backends=[dict(type=plain)], save_dir=str(tmp_path))
    visualizer.follow(lambda: {"iteration": 4, "mode": "train"})
    visualizer.add_scalar("loss", 1.0, step=3)
    with step_counts("iter"):
        visualizer.add_scalars({"loss": 2.0}, step=4, file_path="x.json")
    visualizer.close()
    backend = visualizer.get_backend(plain)
    assert backend.calls == [("loss", 1.0, 3), ({"loss": 2.0}, 4), "closed"]
    assert backend.threads == {threading.current_thread().name}
