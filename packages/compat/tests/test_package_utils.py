from __future__ import annotations

import os
import subprocess
import sys

import pytest

from eng.compat.utils import package_utils


def test_installed_packages() -> None:
    assert package_utils.is_installed("pytest") and package_utils.is_installed("eng.compat")
    assert not package_utils.is_installed("no_such_package")
    assert package_utils.get_installed_path("pytest") == os.path.dirname(pytest.__file__)
    with pytest.raises(ModuleNotFoundError, match="'no_such_package' is not installed here"):
        package_utils.get_installed_path("no_such_package")
    package_utils.call_command([sys.executable, "-c", ""])
    with pytest.raises(subprocess.CalledProcessError):
        package_utils.call_command([sys.executable, "-c", "raise SystemExit(3)"])
