"""What the tests beside ``test_browse_command.py`` share."""

from __future__ import annotations

import random

import numpy as np


class Squares:
    """Ten pictures, blue first; each drawing of one adds random light."""

    metainfo = {"classes": ("odd", "even")}

    def __len__(self):
        return 10

    def __getitem__(self, index):
        light = random.randrange(100)
        return {"img": np.full((4, 4, 3), (200, 100, light), np.uint8), "gt_label": (index + 1) % 2}
