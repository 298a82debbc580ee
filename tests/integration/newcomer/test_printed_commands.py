"""Commands that a run prints are run as printed, in the shell of the user, who may not have `eng` on the PATH."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyte")
from newcomer_terminal import Terminal

pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's"),
]
PARTS = """
import os, time
import torch
from eng.model import BaseModel
from eng.registry import MODELS


@MODELS.register_module()
class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, x, mode="tensor"):
        time.sleep(float(os.environ.get("PAUSE", 0)))
        return {"loss": self.fit(x).square().mean()}
"""
CONFIG = """
custom_imports = dict(imports=["parts"])
model = dict(type="Line")
train_dataloader = dict(dataset=dict(type="Ones"), batch_size=2, collate_fn=dict(type="default_collate"))
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
train_cfg = dict(max_epochs=2)
"""
DATA = """
from torch.utils.data import Dataset
from eng.registry import DATASETS


@DATASETS.register_module()
class Ones(Dataset):
    def __len__(self):
        return 80

    def __getitem__(self, index):
        return torch.ones(1)
"""
NOXFILE = """
import nox


@nox.session(venv_backend="none")
def train(session):
    words = [PYTHON, "-m", "eng.cli", "train", "my config.py", "--work-dir", "my runs", "--nproc", "2"]
    session.run(*words, *session.posargs, external=True, interrupt_timeout=120.0, terminate_timeout=10.0)
"""


def run_as_printed(command: str, folder: Path) -> str:
    """What a command prints in a shell without `eng` on its PATH."""
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if not Path(part, "eng").exists())
    environment = {**os.environ, "PATH": path, "PWD": str(folder), "OMP_NUM_THREADS": "1"}
    with (folder / "output.txt").open("w+") as output:
        run = subprocess.Popen(
            command, shell=True, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )  # fmt: skip
        try:
            status = run.wait(timeout=100)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
        output.seek(0)
        text = output.read()
    assert status == 0, (command, text)
    return text


def test_a_run_of_two_processes_under_nox_is_resumed_by_the_command_that_ctrl_c_prints(tmp_path) -> None:
    pytest.importorskip("nox")
    folder = tmp_path / "my project"
    folder.mkdir()
    (folder / "parts.py").write_text(PARTS + DATA)
    (folder / "my config.py").write_text(CONFIG)
    (folder / "noxfile.py").write_text(NOXFILE.replace("PYTHON", repr(sys.executable)))
    words = [sys.executable, "-m", "nox", "-s", "train"]
    terminal = Terminal(words, folder, 300, PAUSE="0.05", PWD=str(folder))  # no command wraps
    assert terminal.watch("[1][10/20]"), terminal.text()
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.watch()
    terminal.process.wait(timeout=100)
    text = terminal.text()
    assert "Traceback" not in text
    resume = re.search(r"^To resume:\n  (.+)$", text, re.M)
    assert resume is not None, text
    assert "--nproc 2" in resume[1] and "-m eng.cli" in resume[1], resume[1]
    output = run_as_printed(resume[1], folder)
    assert "Done: 2 epochs, 40 iterations." in output
    later = re.search(r"^Next:\n  (.+)$", output, re.M)
    assert later is not None, output
    assert "loss" in run_as_printed(later[1], folder)
