from __future__ import annotations

import numpy as np
import pytest
from log_processor_parts import make_runner

from eng.runner.log_processor import LogProcessor


@pytest.mark.parametrize("kind", [float, np.float16, np.float32, np.float64])
def test_floats_of_every_width_have_the_same_digits(request, kind):
    runner = make_runner(request.node.name)
    runner.message_hub.update_scalar("val/mIoU", kind(6.25))
    assert "mIoU: 6.2500" in LogProcessor().get_log_after_epoch(runner, 2, "val")[1]
