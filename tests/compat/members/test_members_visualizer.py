from __future__ import annotations

from typing import Any

import pytest


def test_a_visualizer_opens_its_window_and_names_it() -> None:
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot as plt

    from eng.visualization import Visualizer

    visualizer: Any = Visualizer(vis_backends=[])
    assert visualizer.manager is None
    visualizer._init_manager("first")
    opened = visualizer.manager
    visualizer._init_manager("second")
    assert visualizer.manager is opened
    plt.close("all")
