from __future__ import annotations

import io

import pytest
import torch
from old_checkpoints_parts import saved

from eng.checkpoint import BrokenCheckpointError, read_checkpoint


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_device_that_is_none_is_the_file_s_fault(zipped):
    data = saved(torch.ones(1), zipped).getvalue().replace(b"X\x03\x00\x00\x00cpu", b"X\x03\x00\x00\x00apu")
    with pytest.raises(BrokenCheckpointError, match="the device 'apu', which is none"):
        read_checkpoint(io.BytesIO(data), verify=False)
