"""What the digits example brings of its own: a dataset, two transforms, a model and a metric."""

from __future__ import annotations

import random
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from eng.dataset import BaseDataset
from eng.evaluator import BaseMetric
from eng.model import BaseModel
from eng.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from eng.structures import BaseDataElement, LabelData

# Shapes: N images, F columns, B batch, C channels, H height, W width, K classes.


@DATASETS.register_module()
class Digits(BaseDataset):
    """scikit-learn's handwritten digits: 8 x 8 images with values 0 to 16, and their labels.

    Args:
        split: ``"train"`` (1,437 images) or ``"val"`` (360 images); the split is drawn once, with a fixed seed.
    """

    METAINFO: ClassVar[dict[str, Any]] = {"classes": tuple("0123456789")}

    def __init__(self, split: str, **kwargs: Any) -> None:
        self.split = split
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        table_NF = read_digits()
        order = np.random.default_rng(0).permutation(len(table_NF))
        chosen = order[:1437] if self.split == "train" else order[1437:]
        return [{"img": row_F[:64].reshape(8, 8), "label": int(row_F[64])} for row_F in table_NF[chosen]]


def read_digits() -> np.ndarray:
    """What scikit-learn's ``load_digits`` reads: (1797, 65) float32, 64 pixels and the label.

    The file is read where scikit-learn has it; importing scikit-learn would take longer than the rest of the start.
    """
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the digits come with scikit-learn: pip install scikit-learn")
    return np.loadtxt(Path(package.origin).parent / "datasets/data/digits.csv.gz", np.float32, delimiter=",")


@TRANSFORMS.register_module()
class RandomShift:
    """Moves the image by up to ``max_pixels`` along each axis and fills with the background (0)."""

    def __init__(self, max_pixels: int = 1) -> None:
        self.max_pixels = max_pixels

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        dy, dx = (random.randint(-self.max_pixels, self.max_pixels) for _ in range(2))
        padded = np.pad(results["img"], self.max_pixels)
        top, left = self.max_pixels + dy, self.max_pixels + dx
        height, width = results["img"].shape
        results["img"] = padded[top : top + height, left : left + width]
        return results


@TRANSFORMS.register_module()
class PackDigit:
    """Gives the model's input, a (1, 8, 8) float32 tensor, and a data sample that holds the true label."""

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        sample = BaseDataElement(metainfo={"sample_idx": results["sample_idx"]})
        sample.gt_label = LabelData(label=torch.tensor([results["label"]]))
        return {"inputs": torch.from_numpy(results["img"].copy())[None], "data_samples": sample}


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut (He et al. 2015, arXiv:1512.03385)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        same_shape = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same_shape else nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x_BCHW) + self.shortcut(x_BCHW))


@MODELS.register_module()
class SmallResNet(BaseModel):
    """Three residual blocks and a linear classifier.

    Args:
        in_channels: channels of the image.
        width: channels of the first block; the last has twice as many.
        num_classes: classes to tell apart.
    """

    def __init__(
        self, in_channels: int = 1, width: int = 32, num_classes: int = 10, data_preprocessor: dict | None = None
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.backbone = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            ResidualBlock(width, width),
            ResidualBlock(width, 2 * width, stride=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(2 * width, num_classes)

    def forward(
        self, inputs: torch.Tensor, data_samples: Sequence[BaseDataElement] | None = None, mode: str = "tensor"
    ) -> Any:
        logits_BK = self.head(self.backbone(inputs))
        if mode == "tensor":
            return logits_BK
        if mode == "loss":
            labels_B = torch.cat([sample.gt_label.label for sample in data_samples or ()])
            return {"loss": nn.functional.cross_entropy(logits_BK, labels_B)}
        for sample, label in zip(data_samples or (), logits_BK.argmax(dim=1), strict=True):
            sample.pred_label = LabelData(label=label[None])
        return data_samples


@METRICS.register_module()
class Accuracy(BaseMetric):
    """Share of images whose predicted label is the true one, in percent."""

    default_prefix = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            self.results.append(int(sample["pred_label"]["label"] == sample["gt_label"]["label"]))

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return {"accuracy": 100.0 * sum(results) / len(results)}
