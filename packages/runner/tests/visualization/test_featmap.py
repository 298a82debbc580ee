from __future__ import annotations

import numpy as np
import pytest
import torch

from eng.visualization import Visualizer


def featmap() -> torch.Tensor:
    """Three channels; the second has the largest sum, at the lower right."""
    maps = torch.zeros(3, 8, 8)
    maps[0, 0, 0], maps[1, 7, 7], maps[2, 0, 7] = 1.0, 5.0, 0.5
    return maps


def is_hot(color: np.ndarray) -> bool:
    return bool(color[0] > color[2])


def test_mean_and_maximum_of_channels() -> None:
    chosen = Visualizer.draw_featmap(featmap(), channel_reduction="select_max")
    assert is_hot(chosen[7, 7]) and not is_hot(chosen[0, 0])
    mean = Visualizer.draw_featmap(featmap() + torch.eye(8) * 9, channel_reduction="squeeze_mean")
    assert is_hot(mean[3, 3]) and not is_hot(mean[0, 5])


def test_a_map_is_resized_and_laid_over_an_image() -> None:
    image = np.full((40, 60, 3), 200, np.uint8)
    alone = Visualizer.draw_featmap(featmap(), resize_shape=(40, 60))
    over = Visualizer.draw_featmap(featmap(), image, alpha=0.25)
    assert over.shape == image.shape
    assert np.abs(over - (0.75 * 200 + 0.25 * alone)).max() <= 1


def test_channels_side_by_side() -> None:
    assert Visualizer.draw_featmap(featmap(), channel_reduction=None, topk=2, arrangement=(1, 2)).shape == (8, 16, 3)
    assert Visualizer.draw_featmap(featmap(), channel_reduction=None, topk=-1).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"featmap": torch.zeros(8, 8)}, r"must be \(C, H, W\)"),
        ({"featmap": featmap(), "channel_reduction": "max"}, "squeeze_mean, select_max"),
        ({"featmap": featmap(), "channel_reduction": None, "topk": 6, "arrangement": (1, 2)}, "no room for topk=6"),
        ({"featmap": torch.zeros(4, 2, 2), "channel_reduction": None, "topk": -1}, "1 or 3 channels"),
    ],
    ids=["dimensions", "reduction", "arrangement", "topk"],
)
def test_maps_that_cannot_be_shown(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        Visualizer.draw_featmap(**arguments)
