"""The window of ``Visualizer.show``, which subclasses in libraries open themselves."""

from __future__ import annotations

from typing import Any


class OfVisualizer:
    """Members of :class:`eng.visualization.Visualizer` that only code written for MMEngine uses.

    They are added to the class while ``import mmengine`` imports eng.
    """

    # The matplotlib manager of the window; None before one is opened.
    manager: Any = None

    def _init_manager(self: Any, win_name: str) -> None:
        """Opens a window, or changes the title of the open one.

        Args:
            win_name: title of the window.
        """
        from matplotlib import pyplot as plt
        from matplotlib.figure import Figure

        if self.manager is None:
            settings = getattr(self, "fig_show_cfg", None) or {"frameon": False}
            self.manager = plt.new_figure_manager(num=1, FigureClass=Figure, **settings)
        self.manager.set_window_title(win_name)


MEMBERS = {"Visualizer": OfVisualizer}
