from __future__ import annotations

import logging
from collections import defaultdict

import numpy as np

from eng.checkpoint import read_checkpoint, save_checkpoint


def test_what_plain_torch_load_refuses_is_named(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "eng"):
        save_checkpoint({"x": np.arange(3), "y": defaultdict(list)}, tmp_path / "a.pth")
    assert "plain torch.load(path) refuses" in caplog.text
    assert "numpy" in caplog.text
    assert read_checkpoint(tmp_path / "a.pth")["x"].tolist() == [0, 1, 2]
