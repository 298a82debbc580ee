"""For test environments only: what the OpenMMLab wheels of 2023 and 2024 need beside numpy 2 and without a compiler.

Copy this file and ``zz_mm_test_environment.pth`` into site-packages. It is used under eng and under the reference alike:

- `mmcv._ext` has no wheel for this torch. The module here names every operator, so that `mmcv.ops` and the libraries
  above it can be imported. `nms` and RoI align compute; every other operator raises when it is called.
- mmaction2's wheel lacks the folder `mmaction/models/localizers/drn`, which `mmaction.models` imports.
- numpy 2 removed names that the libraries read (`numpy.bool8`, `numpy.Inf`, ...).
- xtuner asks the module of the device whether it computes in bfloat16; `torch.cpu` has no such function.
"""

import importlib.abc
import importlib.machinery
import sys
import types

EXTENSION = "mmcv._ext"
MISSING_IN_WHEEL = ("mmaction.models.localizers.drn", "mmaction.models.localizers.drn.drn")
OLD_NUMPY_NAMES = {
    "bool8": "bool_", "complex_": "complex128", "float_": "float64", "in1d": "isin", "Inf": "inf", "int0": "intp",
    "NaN": "nan", "product": "prod", "string_": "bytes_", "trapz": "trapezoid", "unicode_": "str_",
}  # fmt: skip
OLD_NUMPY_TYPES = {
    "int": ("int8", "int16", "int32", "int64"), "uint": ("uint8", "uint16", "uint32", "uint64"),
    "float": ("float16", "float32", "float64"), "complex": ("complex64", "complex128"),
}  # fmt: skip
OLD_NUMPY_BUILTINS = {"float": float, "int": int, "object": object}


def nms(boxes, scores, iou_threshold, offset=0):
    """Indices of the boxes that greedy non-maximum suppression keeps, by descending score."""
    import torch

    order = scores.argsort(descending=True, stable=True)
    areas = (boxes[:, 2] - boxes[:, 0] + offset) * (boxes[:, 3] - boxes[:, 1] + offset)
    keep = []
    while order.numel():
        best, others = order[0], order[1:]
        keep.append(best)
        top_left = torch.maximum(boxes[best, :2], boxes[others, :2])
        bottom_right = torch.minimum(boxes[best, 2:], boxes[others, 2:])
        overlap = (bottom_right - top_left + offset).clamp(min=0).prod(dim=1)
        order = others[overlap / (areas[best] + areas[others] - overlap) <= iou_threshold]
    return torch.stack(keep) if keep else order


def _axis_weights(start, bin_size, bins, samples, size, like):
    """(bins, size): how much each pixel of one axis contributes to each bin, bilinear, mean over the bin's samples."""
    import torch

    steps = (torch.arange(samples, dtype=like.dtype) + 0.5) / samples
    points = start + (torch.arange(bins, dtype=like.dtype)[:, None] + steps) * bin_size
    inside = ((points >= -1) & (points <= size)).to(like.dtype)
    points = points.clamp(0, size - 1)
    pixels = torch.arange(size, dtype=like.dtype)
    weights = (1 - (points[..., None] - pixels).abs()).clamp(min=0) * inside[..., None]
    return weights.mean(dim=1)


def _roi_align(features, rois, height, width, spatial_scale, sampling_ratio, aligned):
    """RoI align with average pooling; linear in `features` (N, C, H, W), `rois` (R, 5) = (image, x1, y1, x2, y2)."""
    import math

    import torch

    shift = 0.5 if aligned else 0.0
    outputs = []
    for image, *corners in rois.tolist():
        x1, y1, x2, y2 = (corner * spatial_scale - shift for corner in corners)
        roi_width, roi_height = x2 - x1, y2 - y1
        if not aligned:
            roi_width, roi_height = max(roi_width, 1.0), max(roi_height, 1.0)
        samples_y = sampling_ratio if sampling_ratio > 0 else max(1, math.ceil(roi_height / height))
        samples_x = sampling_ratio if sampling_ratio > 0 else max(1, math.ceil(roi_width / width))
        rows = _axis_weights(y1, roi_height / height, height, samples_y, features.shape[2], features)
        columns = _axis_weights(x1, roi_width / width, width, samples_x, features.shape[3], features)
        outputs.append(torch.einsum("yh,chw,xw->cyx", rows, features[int(image)], columns))
    return torch.stack(outputs) if outputs else features.new_zeros(0, features.shape[1], height, width)


def _require_average(pool_mode):
    if pool_mode != 1:
        raise NotImplementedError(
            "mmcv._ext: this stub of the test environment computes RoI align with pool_mode='avg' only"
        )


def roi_align_forward(
    input,
    rois,
    output,
    argmax_y,
    argmax_x,
    aligned_height,
    aligned_width,
    spatial_scale,
    sampling_ratio,
    pool_mode,
    aligned,
):
    """Writes the pooled features into `output`."""
    _require_average(pool_mode)
    output.copy_(_roi_align(input, rois, aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned))


def roi_align_backward(
    grad_output, rois, argmax_y, argmax_x, grad_input, aligned_height, aligned_width, spatial_scale, sampling_ratio,
    pool_mode, aligned,
):  # fmt: skip
    """Writes the gradient of the features into `grad_input`: the operator is linear, so their values do not matter."""
    import torch

    _require_average(pool_mode)
    with torch.enable_grad():
        features = torch.zeros_like(grad_input, requires_grad=True)
        pooled = _roi_align(features, rois, aligned_height, aligned_width, spatial_scale, sampling_ratio, aligned)
        if pooled.requires_grad:
            grad_input.copy_(torch.autograd.grad(pooled, features, grad_output)[0])


def _missing(name):
    def operator(*args, **kwargs):
        raise NotImplementedError(f"mmcv._ext.{name} is a compiled operator that this test environment does not have")

    operator.__name__ = operator.__qualname__ = name
    return operator


class _Extension(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _missing(name)


def restore_numpy_names():
    """Gives numpy the names that it had when the libraries were released."""
    import numpy as np

    for old, new in OLD_NUMPY_NAMES.items():
        if old not in vars(np):
            setattr(np, old, getattr(np, new))
    np.sctypes = {kind: [getattr(np, name) for name in names] for kind, names in OLD_NUMPY_TYPES.items()}  # noqa: NPY201
    for old, builtin in OLD_NUMPY_BUILTINS.items():
        if old not in vars(np):
            setattr(np, old, builtin)


def answer_for_the_cpu():
    """Gives `torch.cpu` the question about bfloat16 that the modules of other devices answer; the answer is no."""
    import torch

    if not hasattr(torch.cpu, "is_bf16_supported"):
        torch.cpu.is_bf16_supported = lambda: False


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, path=None, target=None):
        if fullname == "mmcv":
            restore_numpy_names()
        if fullname == "xtuner":
            answer_for_the_cpu()
        if fullname == EXTENSION:
            return importlib.machinery.ModuleSpec(fullname, self)
        if fullname in MISSING_IN_WHEEL and not _is_shipped(fullname, path):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=not fullname.endswith("drn.drn"))
        return None

    def create_module(self, spec):
        return _Extension(spec.name) if spec.name == EXTENSION else None

    def exec_module(self, module):
        if module.__name__ == EXTENSION:
            module.nms, module.roi_align_forward, module.roi_align_backward = nms, roi_align_forward, roi_align_backward
        elif module.__name__ == MISSING_IN_WHEEL[-1]:
            _register_missing_localizer(module)


def _register_missing_localizer(module):
    """A DRN under the name that the wheel's configs give; it cannot be built."""
    from mmaction.registry import MODELS
    from torch import nn

    class DRN(nn.Module):
        """Missing in mmaction2's wheel."""

        def __init__(self, **kwargs):
            raise NotImplementedError("mmaction2 1.2.0 ships no mmaction/models/localizers/drn")

    MODELS.register_module(module=DRN)
    module.DRN = DRN


def _is_shipped(fullname, path):
    return importlib.machinery.PathFinder.find_spec(fullname, path) is not None


if not any(type(finder).__module__ == __name__ for finder in sys.meta_path):
    sys.meta_path.insert(0, _Finder())
