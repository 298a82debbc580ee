"""mmpretrain 1.2.0 and mmcv-lite 2.1.0 from PyPI, without mmengine and with no file of theirs edited.

`nox -s downstream` makes the environment; elsewhere these tests are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MISSING = [name for name in ("mmpretrain", "mmcv", "torchvision") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"nox -s downstream installs {', '.join(MISSING)}")


def run(*args: str, timeout: float = 170) -> dict:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *args], capture_output=True, text=True, env=env, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return last_json(done.stdout)


def last_json(output: str) -> dict:
    """The JSON object at the end of an output, which a progress bar may stand before on the same line."""
    line = output.strip().splitlines()[-1]
    return json.loads(line[line.index("{") :])


def test_mmengine_itself_is_not_there() -> None:
    assert importlib.util.find_spec("mmengine") is None


@pytest.mark.timeout(400)
@pytest.mark.parametrize("arch", ["resnet18", "vit"])
def test_it_trains_validates_resumes_and_infers(arch, tmp_path) -> None:
    call = ("-m", "eng.compat", str(HERE / "train_mmpretrain.py"), arch, str(tmp_path / "data"), str(tmp_path / "run"))
    first = run(*call)
    assert first["engine"].startswith("eng.runner")
    assert first["metrics"]["accuracy/top1"] >= 90
    assert first["epoch"] == 2
    resumed = run(*call, "--resume")
    assert resumed["epoch"] == 3
    assert resumed["metrics"]["accuracy/top1"] >= 90
    assert resumed["inferred"] >= 0.9
