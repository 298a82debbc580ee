"""Names of published weights, ``open-mmlab://name`` and ``mmcls://name``: tables of the entry points ``eng.model_zoo``."""

from __future__ import annotations

import functools
import json
from importlib import resources


def get_openmmlab_models() -> dict[str, str]:
    """Returns the download addresses of the names after ``open-mmlab://``."""
    return dict(_tables()["openmmlab"])


def get_mmcls_models() -> dict[str, str]:
    """Returns the download addresses of the names after ``mmcls://``."""
    return dict(_tables()["mmcls"])


@functools.cache
def _tables() -> dict[str, dict[str, str]]:
    text = resources.files("eng.compat").joinpath("weights.json").read_text(encoding="utf-8")
    tables: dict[str, dict[str, str]] = json.loads(text)
    return tables


def get_deprecated_model_names() -> dict[str, str]:
    """Returns the deprecated names after ``open-mmlab://``, with the names that replaced them."""
    return {
        "resnet50_caffe": "detectron/resnet50_caffe",
        "resnet50_caffe_bgr": "detectron2/resnet50_caffe_bgr",
        "resnet101_caffe": "detectron/resnet101_caffe",
        "resnet101_caffe_bgr": "detectron2/resnet101_caffe_bgr",
    }
