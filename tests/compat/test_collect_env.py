from __future__ import annotations

import torch

from eng.compat.utils import dl_utils


def test_environment_report_has_the_old_keys() -> None:
    env = dl_utils.collect_env()
    assert list(env)[:4] == ["sys.platform", "Python", "CUDA available", "MUSA available"]
    assert env["PyTorch"] == torch.__version__
    assert env["MMEngine"] == "0.10.7"
