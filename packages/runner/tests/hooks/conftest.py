from __future__ import annotations

import pytest

from eng.hooks._checkpoint_files import RunFiles


@pytest.fixture
def files(tmp_path) -> RunFiles:
    return RunFiles(str(tmp_path), "epoch_{}.pth", None)
