"""What the tests beside ``test_sweep.py`` share."""

from __future__ import annotations

LR, CURVATURE = "optim_wrapper.optimizer.lr", "model.curvature"
