"""Helpers of the tests of inferencer."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import nn

from eng.fileio import get
from eng.infer import BaseInferencer
from eng.model import BaseModel


class Affine(BaseModel):
    """Mean of the picture times a weight; notes the modes it was called in."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(scale))
        self.was_initialised = False
        self.calls = []

    def init_weights(self) -> None:
        self.was_initialised = True

    def forward(self, inputs, data_samples=None, mode="tensor"):
        self.calls.append((len(inputs), torch.is_inference_mode_enabled(), self.training))
        return list(self.weight * torch.stack(inputs).flatten(1).mean(dim=1))


class Means(BaseInferencer):
    """Reads arrays from wherever they are; takes one argument in each step."""

    preprocess_kwargs = {"repeats"}
    forward_kwargs = {"factor"}
    visualize_kwargs = {"marker"}
    postprocess_kwargs = {"digits"}

    def _init_pipeline(self, cfg):
        def load(item):
            array = item if isinstance(item, np.ndarray) else np.load(io.BytesIO(get(item)))
            if array.max() > 100:
                return None
            return {"inputs": torch.from_numpy(array)}

        return load

    def preprocess(self, inputs, batch_size=1, repeats=1):
        yield from super().preprocess([item for item in inputs for _ in range(repeats)], batch_size)

    def forward(self, inputs, factor=1):
        return [factor * value for value in super().forward(inputs)]

    def visualize(self, inputs, preds, show=False, marker=None):
        return None if marker is None else [marker for _ in preds]

    def postprocess(self, preds, visualization, return_datasample=False, digits=None):
        values = preds if return_datasample else [round(float(one), digits or 6) for one in preds]
        return {"predictions": values, "visualization": visualization}
