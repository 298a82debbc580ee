"""`custom_imports` finds what lies beside the config."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = "import sys; from eng.config import Config; Config.fromfile(sys.argv[1]); import {0}; print({0}.__file__)"


@pytest.mark.parametrize("place", ["configs", "."], ids=["beside the file", "in the working directory"])
def test_a_module_is_found(tmp_path, place) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / place / "parts_of_this_test.py").write_text("")
    config = tmp_path / "configs/config.py"
    config.write_text("custom_imports = dict(imports=['parts_of_this_test'], allow_failed_imports=False)\n")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format("parts_of_this_test"), str(config)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip().endswith("parts_of_this_test.py"), done.stderr


def test_it_hides_nothing_that_is_installed(tmp_path) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError")
    config = tmp_path / "config.py"
    config.write_text("custom_imports = dict(imports=['json'])\n")
    done = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT.format("json"), str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
