"""Names of weights that were renamed."""

from __future__ import annotations


def get_deprecated_model_names() -> dict[str, str]:
    """Old names behind ``open-mmlab://`` and the names that replaced them."""
    return {
        "resnet50_caffe": "detectron/resnet50_caffe",
        "resnet50_caffe_bgr": "detectron2/resnet50_caffe_bgr",
        "resnet101_caffe": "detectron/resnet101_caffe",
        "resnet101_caffe_bgr": "detectron2/resnet101_caffe_bgr",
    }
