from __future__ import annotations

import threading

import numpy as np
import pytest

from eng.visualization import TensorboardVisBackend, Visualizer, writers


def test_a_tracker_without_replay_gets_earlier_curves_line_by_line(plain, tmp_path) -> None:
    from eng.visualization.curves import Line

    visualizer = Visualizer(vis_backends=[dict(type=plain)], save_dir=str(tmp_path))
    visualizer.go_on_from([Line({"loss": 1.0}, 1, "iter", 1, "train"), Line({"acc": 2.0}, 1, "epoch", 1, "val")])
    assert visualizer.get_backend(plain).calls == [({"loss": 1.0}, 1), ({"acc": 2.0}, 1)]


class Subclass(TensorboardVisBackend):
    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        self.threads: set[str] = set()

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs):
        self.threads.add(threading.current_thread().name)


@pytest.mark.parametrize("asks", [False, True])
def test_only_a_class_that_asks_for_it_runs_on_a_thread_of_its_own(tmp_path, asks) -> None:
    kind = type("Asking", (Subclass,), {"in_background": True}) if asks else Subclass
    backend = kind(str(tmp_path))
    visualizer = Visualizer(vis_backends=[backend])
    visualizer.add_scalars({"loss": 1.0})
    visualizer.close()
    assert backend.threads == ({"eng-tracker-Asking"} if asks else {threading.current_thread().name})


@pytest.mark.parametrize("name", sorted({*writers.__all__} - {"LocalVisBackend"}))
def test_each_tracker_with_a_library_of_its_own_is_called_from_a_thread(tmp_path, monkeypatch, name) -> None:
    kind, threads = getattr(writers, name), []
    monkeypatch.setattr(kind, "_init_env", lambda self: threads.append(threading.current_thread().name))
    monkeypatch.setattr(kind, "_log_numbers", lambda *_: None)
    monkeypatch.setattr(kind, "_finish", lambda _: threads.append("finished"))
    visualizer = Visualizer(vis_backends=[kind(str(tmp_path))])
    visualizer.add_scalar("loss", 1.0, 1)
    visualizer.close()
    assert threads == [f"eng-tracker-{name}", "finished"]


@pytest.mark.parametrize("shape", [(40,), (2, 40, 50, 3), (40, 50, 2), (40, 50, 5), ()], ids=str)
def test_another_shape_is_no_image(shape) -> None:
    with pytest.raises(
        ValueError, match="an image is .height, width, 3., with 1 or 4 channels, or .height, width., got"
    ):
        Visualizer(image=np.zeros(shape, np.uint8))
