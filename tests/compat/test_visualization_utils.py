from __future__ import annotations

import numpy as np
import pytest
import torch

from eng.compat.legacy.visualization_utils import (
    check_length,
    check_type,
    check_type_and_length,
    convert_overlay_heatmap,
    value2list,
)


def test_values_are_spread_over_a_list_only_where_they_are_single() -> None:
    assert value2list("r", str, 3) == ["r", "r", "r"]
    assert value2list(["a"], str, 2) == ["a"]
    assert value2list((1, 2), tuple, 2) == [(1, 2), (1, 2)]
    assert value2list(None, str, 2) is None


def test_argument_checks_name_the_argument() -> None:
    check_type("x", "a", (str, list))
    check_length("x", (1,), 3)
    with pytest.raises(TypeError, match="`x` should be <class 'str'>"):
        check_type("x", 3, str)
    with pytest.raises(AssertionError, match="length of x must equal with or greater than 3, but got 1"):
        check_type_and_length("x", ["a"], (str, list), 3)


def test_heatmap_has_the_colours_of_the_reference() -> None:
    pytest.importorskip("cv2")
    ramp = np.arange(12.0).reshape(3, 4)
    assert convert_overlay_heatmap(ramp).ravel()[:9].tolist() == [0, 0, 128, 0, 0, 220, 0, 56, 255]
    over = convert_overlay_heatmap(torch.tensor(ramp), np.full((3, 4, 3), 100, np.uint8), alpha=0.2)
    assert over.ravel()[:9].tolist() == [80, 80, 106, 80, 80, 124, 80, 91, 131]
    with pytest.raises(AssertionError, match="got shape \\(4, 3, 5\\)"):
        convert_overlay_heatmap(np.zeros((4, 3, 5)))
