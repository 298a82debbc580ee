from __future__ import annotations

import pytest
from model_wrappers_parts import ranks


@pytest.mark.timeout(100)
def test_separate_ddp_wraps_what_can_be_trained(tmp_path):
    first, second = ranks("separate", 2, tmp_path)
    assert first["kinds"] == {"data_preprocessor": False, "generator": True, "discriminator": True, "frozen": False}
    assert first["unsynced"] == [False, False] and first["state"] == second["state"]
