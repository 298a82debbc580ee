"""NaiveVisualizationHook: draws the first image of test batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eng.registry import HOOKS

from .hook import DataBatch, Hook

if TYPE_CHECKING:
    from eng.runner.view import RunnerView


@HOOKS.register_module()
class NaiveVisualizationHook(Hook):
    """Shows predictions of the test through the run's visualizer.

    Args:
        interval: every how many batches. 1 by default.
        draw_gt: whether to draw the truth.
        draw_pred: whether to draw the prediction.
    """

    priority = "NORMAL"

    def __init__(self, interval: int = 1, draw_gt: bool = True, draw_pred: bool = True) -> None:
        self.draw_gt = draw_gt
        self.draw_pred = draw_pred
        self._interval = interval

    def before_train(self, runner: RunnerView) -> None:
        """Sends the model's graph where the visualizer's backends can show one."""
        runner.visualizer.add_graph(runner.model, None)

    def after_test_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draws each sample of the batch into its own image, without the padding and at the original size."""
        if not self.every_n_inner_iters(batch_idx, self._interval):
            return
        for sample, output in zip(_samples(data_batch), outputs or (), strict=False):
            truth = sample["data_sample"]
            name = Path(getattr(truth, "img_path", "test_img")).name
            runner.visualizer.add_datasample(
                name, _original_image(sample["inputs"], truth), truth, output, self.draw_gt, self.draw_pred
            )


def _samples(data_batch: Any) -> list[dict[str, Any]]:
    if isinstance(data_batch, dict):
        truths = data_batch.get("data_samples", data_batch.get("data_sample")) or ()
        return [
            {"inputs": inputs, "data_sample": truth} for inputs, truth in zip(data_batch["inputs"], truths, strict=True)
        ]
    return list(data_batch or ())


def _original_image(inputs_CHW: Any, sample: Any) -> np.ndarray:
    image = np.ascontiguousarray(inputs_CHW.detach().cpu().numpy().transpose(1, 2, 0).astype(np.uint8))
    if "pad_shape" in sample and "img_shape" in sample:
        height, width = sample.img_shape[:2]
        image = image[:height, :width]
    if "ori_shape" in sample and tuple(sample.ori_shape[:2]) != image.shape[:2]:
        import cv2

        height, width = sample.ori_shape[:2]
        image = cv2.resize(image, (width, height))
    return image
