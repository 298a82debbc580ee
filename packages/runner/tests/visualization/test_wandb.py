from __future__ import annotations

import sys
from types import SimpleNamespace

from eng.visualization.curves import Line


def test_a_wandb_run_that_its_id_goes_on_with_gets_only_what_it_lacks(tmp_path, monkeypatch) -> None:
    """Weights & Biases resumes a run on its server only; here a stand-in plays the run that it gives back."""
    from eng.visualization import WandbVisBackend

    class Run:
        resumed = True
        summary = {"iteration/train": 5, "iteration/val": 4}

        def __init__(self) -> None:
            self.rows: list[dict] = []

        def define_metric(self, *args, **kwargs) -> None:
            pass

        def log(self, row) -> None:
            self.rows.append(row)

    run = Run()
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=lambda **kwargs: run))
    tracker = WandbVisBackend(str(tmp_path), init_kwargs={"id": "a"})
    tracker.replay([Line({"loss": i}, i, "iter", i, "train") for i in range(1, 5)])
    for iteration in range(5, 9):  # the run that was killed had sent iteration 5; the checkpoint is of iteration 4
        tracker.add_scalars({"loss": iteration}, iteration, axis="iter", iteration=iteration, mode="train")
    tracker.add_scalars({"error": 0.5}, 2, axis="epoch", iteration=8, mode="val")
    assert [row["loss"] for row in run.rows if "loss" in row] == [6, 7, 8]
    assert [(row["error"], row["epoch"]) for row in run.rows if "error" in row] == [(0.5, 2)]
