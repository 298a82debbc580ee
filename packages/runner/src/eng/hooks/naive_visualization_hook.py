"""NaiveVisualizationHook: draws the images of test batches with their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eng.logging.optional import optional_module
from eng.registry import HOOKS
from eng.visualization.images import as_rgb

from .hook import DataBatch, Hook
from .view import RunnerView


@HOOKS.register_module()
class NaiveVisualizationHook(Hook):
    """Sends test images with ground truth and predictions to the run's visualizer.

    Args:
        interval: number of batches of which the images of one batch are drawn. 1 (default) draws all images.
        draw_gt: whether to draw the ground truth. True by default.
        draw_pred: whether to draw the prediction. True by default.
    """

    priority = "NORMAL"

    def __init__(self, interval: int = 1, draw_gt: bool = True, draw_pred: bool = True) -> None:
        self.draw_gt = draw_gt
        self.draw_pred = draw_pred
        self._interval = interval

    def before_train(self, runner: RunnerView) -> None:
        """Sends the model's graph to the visualizer; backends that cannot show a graph ignore it."""
        runner.visualizer.add_graph(runner.model, None)

    def after_test_iter(
        self,
        runner: RunnerView,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draws one image per sample of the batch, without padding and at the original size of the image."""
        if not self.every_n_inner_iters(batch_idx, self._interval):
            return
        for sample, output in zip(_samples(data_batch), outputs or (), strict=False):
            truth = sample["data_sample"]
            name = Path(getattr(truth, "img_path", "test_img")).name
            runner.visualizer.add_datasample(
                name, _original_image(sample["inputs"], truth), truth, output, self.draw_gt, self.draw_pred
            )


def _samples(data_batch: Any) -> list[dict[str, Any]]:
    """Splits a batch into samples with the keys ``inputs`` and ``data_sample``; a list of samples is returned as it is."""
    if isinstance(data_batch, dict):
        truths = data_batch.get("data_samples", data_batch.get("data_sample")) or ()
        return [
            {"inputs": inputs, "data_sample": truth} for inputs, truth in zip(data_batch["inputs"], truths, strict=True)
        ]
    return list(data_batch or ())


def _original_image(inputs: Any, sample: Any) -> np.ndarray:
    """Restores the original image of a model input (C, H, W) or (1, C, H, W).

    Undoes the normalization, removes the padding and resizes to the original height and width.
    """
    pixels_CHW = inputs.detach().cpu().float()
    if pixels_CHW.dim() == 4:
        pixels_CHW = pixels_CHW[0]
    image = np.clip(_denormalize(pixels_CHW.numpy().transpose(1, 2, 0), sample), 0, 255).astype(np.uint8)
    image = as_rgb(image)
    unpadded = _unpadded_size(sample)
    if unpadded is not None:
        image = image[: unpadded[0], : unpadded[1]]
    size = _original_size(sample)
    if size is not None and size != image.shape[:2]:
        cv2 = optional_module("cv2", "NaiveVisualizationHook", "opencv-python-headless")
        image = cv2.resize(np.ascontiguousarray(image), (size[1], size[0]))
    return np.ascontiguousarray(image)


def _denormalize(image_HWC: np.ndarray, sample: Any) -> np.ndarray:
    """Undoes the normalization of an image, by the mean and standard deviation in the sample's ``img_norm_cfg``.

    The image is returned as RGB. If ``to_rgb`` is False in ``img_norm_cfg``, the three channels of the image are in the
    order BGR, and are reversed.
    """
    cfg = sample.get("img_norm_cfg") or {}
    mean, std = np.asarray(cfg.get("mean", 0.0)), np.asarray(cfg.get("std", 1.0))
    image: np.ndarray = image_HWC * std + mean
    if cfg.get("to_rgb", True) or image.shape[2] != 3:
        return image
    return image[..., ::-1]


def _unpadded_size(sample: Any) -> tuple[int, int] | None:
    """Returns height and width of the image without its padding; None if the image has no padding.

    The sample's ``img_shape`` is (height, width), and its ``scale`` is (width, height).
    """
    if "pad_shape" not in sample:
        return None
    if "img_shape" in sample:
        return int(sample.img_shape[0]), int(sample.img_shape[1])
    if "scale" in sample:
        return int(sample.scale[1]), int(sample.scale[0])
    return None


def _original_size(sample: Any) -> tuple[int, int] | None:
    """Returns height and width of the image before any resizing; None if the sample does not contain them."""
    if "ori_shape" in sample:
        return int(sample.ori_shape[0]), int(sample.ori_shape[1])
    if "ori_height" in sample and "ori_width" in sample:
        return int(sample.ori_height), int(sample.ori_width)
    return None
