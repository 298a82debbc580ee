"""Constants of ``mmengine.device.utils``: the accelerators that are available when this module is imported."""

from __future__ import annotations

from eng.device import (
    get_device,
    is_dipu_available,
    is_mlu_available,
    is_musa_available,
    is_npu_available,
)

DEVICE = get_device()
IS_DIPU_AVAILABLE = is_dipu_available()
IS_MLU_AVAILABLE = is_mlu_available()
IS_MUSA_AVAILABLE = is_musa_available()
IS_NPU_AVAILABLE = is_npu_available()
