"""Programs of the libraries that start Python themselves: the alias reaches what they start."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import libraries
import pytest


def start(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """How a program ended."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **environment}
    call = [sys.executable, "-m", "eng.compat", *command]
    return subprocess.run(call, capture_output=True, text=True, env=env, cwd=folder, timeout=160, check=False)


def start_on_free_port(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """How a program ended whose `PORT` was free; another port is tried where another process took it meanwhile."""
    for _ in range(3):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        done = start(command, folder, PORT=str(port))
        if done.returncode == 0 or "address already in use" not in done.stderr.lower():
            break
    return done


def console_script(name: str, folder: Path) -> Path:
    """The program that pip writes for an entry point."""
    (entry,) = entry_points(group="console_scripts", name=name)
    script = folder / name
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom {entry.module} import {entry.attr}\nsys.exit({entry.attr}())\n"
    )
    script.chmod(0o755)
    return script


@pytest.mark.timeout(180)
def test_the_command_of_xtuner(tmp_path: Path) -> None:
    if libraries.BY_PACKAGE["xtuner"].root is None:
        pytest.skip("nox -s downstream installs xtuner")
    command = [str(console_script("xtuner", tmp_path))]
    # It runs `python copy_cfg.py`.
    done = start([*command, "copy-cfg", "internlm2_7b_qlora_alpaca_e3", str(tmp_path)], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "from mmengine" in (tmp_path / "internlm2_7b_qlora_alpaca_e3_copy.py").read_text()


TRAINING = """
import sys
from pathlib import Path
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size, init_dist

init_dist("pytorch", backend="gloo")
# A file of each rank's own: in an output that they share, the lines of ranks mix.
Path(f"rank_{get_rank()}_of_{get_world_size()}").write_text(f"{Config.__module__} {sys.argv[-3:]}")
"""


@pytest.mark.timeout(180)
def test_the_shell_script_that_starts_ranks(tmp_path: Path) -> None:
    library = libraries.BY_PACKAGE["mmpretrain"]
    if library.root is None:
        pytest.skip("nox -s downstream installs mmpretrain")
    shutil.copy(library.root / library.tools / "dist_train.sh", tmp_path)
    (tmp_path / "train.py").write_text(TRAINING)
    done = start_on_free_port(["bash", "dist_train.sh", "config.py", "2"], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    told = {file.name: file.read_text() for file in tmp_path.glob("rank_*")}
    assert told == {f"rank_{rank}_of_2": "eng.config.config ['config.py', '--launcher', 'pytorch']" for rank in (0, 1)}
