"""The shortest use of each package: ``smoke.py NAME`` runs it in an environment that holds the package and its dependencies."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def config() -> None:
    from eng.config import Config

    with tempfile.TemporaryDirectory() as folder:
        base, child = Path(folder, "base.py"), Path(folder, "child.py")
        base.write_text("model = dict(type='Net', depth=18)\n", encoding="utf-8")
        child.write_text("_base_ = 'base.py'\nmodel = dict(depth=50)\n", encoding="utf-8")
        assert Config.fromfile(child).model.to_dict() == {"type": "Net", "depth": 50}


def registry() -> None:
    from eng.registry import Registry

    models = Registry("smoke models")
    models.register_module(name="Pair", module=lambda left, right: (left, right))
    assert models.build({"type": "Pair", "left": 1, "right": 2}) == (1, 2)


def fileio() -> None:
    from eng.fileio import dump, load

    with tempfile.TemporaryDirectory() as folder:
        dump({"a": [1, 2]}, f"{folder}/a.json")
        assert load(f"{folder}/a.json") == {"a": [1, 2]}


def structures() -> None:
    import torch

    from eng.structures import InstanceData

    boxes = InstanceData(bboxes=torch.zeros(4, 4), labels=torch.arange(4))
    assert len(boxes[boxes.labels > 1]) == 2


def dist() -> None:
    from eng.dist import get_dist_info

    assert get_dist_info() == (0, 1)


def analysis() -> None:
    import torch

    from eng.analysis import get_model_complexity_info

    result = get_model_complexity_info(
        torch.nn.Linear(8, 4), inputs=(torch.zeros(1, 8),), show_table=False, show_arch=False
    )
    assert result["params"] == 36


def runner() -> None:
    import torch

    from eng.model import BaseModel
    from eng.runner import Runner

    class Line(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def forward(self, x: torch.Tensor, mode: str = "tensor") -> dict[str, torch.Tensor]:
            return {"loss": (self.layer(x) - x).square().mean()}

    rows = [{"x": torch.tensor([float(number)])} for number in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        Runner(
            Line(), folder,
            train_dataloader={"dataset": rows, "batch_size": 2, "sampler": {"type": "DefaultSampler"},
                              "collate_fn": {"type": "default_collate"}},
            train_cfg={"max_epochs": 1}, optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01}},
        ).train()  # fmt: skip
        assert Path(folder, "epoch_1.pth").exists()


def tune() -> None:
    from eng.tune import Choice, Float, load_sweep

    assert Choice((1, 2)).values == (1, 2)
    assert Float(0.1, 1.0).high == 1.0
    assert callable(load_sweep)


def compat() -> None:
    import eng.compat

    eng.compat.install()
    import mmengine

    assert mmengine.__name__


def eng() -> None:
    import subprocess

    listing = subprocess.run(
        [sys.executable, "-m", "eng.cli", "--help"], capture_output=True, encoding="utf-8", check=True
    )
    assert "config" in listing.stdout, listing.stdout


if __name__ == "__main__":
    globals()[sys.argv[1]]()
