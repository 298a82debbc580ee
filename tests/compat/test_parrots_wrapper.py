from __future__ import annotations

import pytest
import torch
from torch import nn

from eng.compat.utils import dl_utils
from eng.compat.utils.dl_utils import parrots_wrapper


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("_BatchNorm", nn.BatchNorm3d(1)), ("_InstanceNorm", nn.InstanceNorm1d(1)), ("_ConvNd", nn.Conv1d(1, 1, 1)),
        ("_ConvTransposeMixin", nn.ConvTranspose1d(1, 1, 1)), ("_MaxPoolNd", nn.MaxPool1d(1)), ("_AvgPoolNd", nn.AvgPool3d(1)),
        ("_AdaptiveMaxPoolNd", nn.AdaptiveMaxPool1d(1)), ("_AdaptiveAvgPoolNd", nn.AdaptiveAvgPool3d(1)),
    ],
)  # fmt: skip
def test_common_bases_of_layers(name, layer) -> None:
    assert isinstance(layer, getattr(parrots_wrapper, name))
    assert getattr(parrots_wrapper, name).__name__.startswith(name.removesuffix("Mixin"))


def test_build_of_torch() -> None:
    assert torch.__version__ == dl_utils.TORCH_VERSION
    assert not parrots_wrapper.is_rocm_pytorch()
    assert "PyTorch built with" in parrots_wrapper.get_build_config()
