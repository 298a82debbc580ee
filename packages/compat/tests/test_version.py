from __future__ import annotations

from eng import compat
from eng.compat.version import parse_version_info


def test_version_is_that_of_the_reference() -> None:
    compat.install()
    import mmengine

    assert (mmengine.__version__, mmengine.version_info) == ("0.10.7", (0, 10, 7))
    assert compat.__version__ != mmengine.__version__


def test_parse_version_info() -> None:
    assert parse_version_info("2.0.0rc4") == (2, 0, 0, "rc4")
