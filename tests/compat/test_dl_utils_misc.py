from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from eng.compat.utils import dl_utils
from eng.compat.utils.dl_utils import parrots_wrapper


def test_norms_are_told_from_other_layers() -> None:
    norms = [nn.BatchNorm1d(2), nn.InstanceNorm2d(2), nn.GroupNorm(1, 2), nn.LayerNorm(2), nn.SyncBatchNorm(2)]
    assert all(map(dl_utils.is_norm, norms))
    assert not dl_utils.is_norm(nn.Conv2d(1, 1, 1))
    assert not dl_utils.is_norm(norms[0], exclude=(parrots_wrapper._BatchNorm,))
    with pytest.raises(TypeError, match="class or a tuple of classes"):
        dl_utils.is_norm(norms[0], exclude="BatchNorm")
    assert dl_utils.has_batch_norm(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)))
    assert not dl_utils.has_batch_norm(nn.Sequential(nn.LayerNorm(1)))


def test_images_of_a_batch() -> None:
    batch = torch.zeros(2, 3, 4, 5)
    batch[:, 0] = 1.0
    images = dl_utils.tensor2imgs(batch, mean=(10, 20, 30), std=(5, 5, 5), to_bgr=True)
    assert len(images) == 2
    assert images[0].shape == (4, 5, 3)
    assert images[0][0, 0].tolist() == [30, 20, 15]
    assert dl_utils.tensor2imgs(torch.full((1, 1, 2, 2), 7.0), to_bgr=False)[0].dtype == np.float32
    with pytest.raises(ValueError, match="expected a batch"):
        dl_utils.tensor2imgs(torch.zeros(3, 4, 5))
    with pytest.raises(ValueError, match="3 numbers each"):
        dl_utils.tensor2imgs(batch, mean=(1, 2))


def test_mmcv_is_looked_up() -> None:
    assert isinstance(dl_utils.mmcv_full_available(), bool)
