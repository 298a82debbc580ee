from __future__ import annotations

from eng.compat.legacy import config_utils


def test_table_of_packages() -> None:
    assert config_utils.MODULE2PACKAGE["mmseg"] == "mmsegmentation"
    assert len(config_utils.MODULE2PACKAGE) == 19
