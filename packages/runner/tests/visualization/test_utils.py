from __future__ import annotations

import numpy as np
import torch

from eng.visualization.utils import color_val_matplotlib, img_from_canvas, tensor2ndarray


def test_helpers_that_libraries_import() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    assert img_from_canvas(FigureCanvasAgg(Figure(figsize=(2, 1), dpi=50))).shape == (50, 100, 3)
    assert color_val_matplotlib(["r", (255, 0, 0)]) == ["r", (1.0, 0.0, 0.0)]
    assert isinstance(tensor2ndarray(torch.ones(2)), np.ndarray)
