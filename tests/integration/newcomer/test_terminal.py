"""A first run as its user sees it: on a pseudo-terminal, with a screen model, and the printed commands run as printed."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyte")
from newcomer_terminal import Terminal

pytestmark = [
    pytest.mark.timeout(150),
    pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix's"),
]
SCRIPT = """
import sys, time
import torch
from eng.model import BaseModel
from eng.runner import Runner


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, x, y, mode="tensor"):
        time.sleep(PAUSE)
        return {"loss": (self.fit(x) - y).square().mean()}


x = torch.linspace(0, 1, 80)[:, None]
data = torch.utils.data.TensorDataset(x, 3 * x)
Runner(
    Line(), "my runs", train_dataloader=torch.utils.data.DataLoader(data, batch_size=4), train_cfg=dict(max_epochs=EPOCHS),
    optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)), resume="--resume" in sys.argv,
).train()
"""


def write_script(folder: Path, pause: float = 0.0, epochs: int = 2) -> Path:
    path = folder / "my train.py"
    path.write_text(SCRIPT.replace("PAUSE", str(pause)).replace("EPOCHS", str(epochs)))
    return path


@pytest.mark.parametrize("columns", [60, 100, 140, 300])
def test_a_first_run_fits_a_screen_and_leaves_no_bar_behind(tmp_path, columns) -> None:
    terminal = Terminal([sys.executable, str(write_script(tmp_path, 0.02))], tmp_path, columns)
    saw_bar = terminal.watch("it/s")
    bar = [line for line in terminal.screen.display if "it/s" in line]
    terminal.watch()
    assert terminal.process.wait(timeout=60) == 0, terminal.text()
    assert saw_bar
    assert all(line.startswith("train ") and "INFO" not in line and len(line.rstrip()) < columns for line in bar)
    text = terminal.text()
    assert not re.search(r"it/s|━", text)
    assert len(text[: text.index("Epoch(train)")].splitlines()) <= 15
    assert text.count("Epoch(train)") == 4  # 20 iterations in an epoch, a line for ten
    assert not re.search(r"\b1 (epochs|iterations|samples|threads)\b", text)
    if columns == 300:  # no command wraps
        command = re.search(r"^  (.+ curves .+)$", text, re.M)[1]
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (command, done.stderr)


def test_ctrl_c_in_a_script_saves_and_its_hint_works(tmp_path) -> None:
    script = write_script(tmp_path, 0.05, epochs=200)
    terminal = Terminal([sys.executable, str(script)], tmp_path, 300)  # no line of the hint wraps
    assert terminal.watch("[1][10/20]")
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.watch()
    assert terminal.process.wait(timeout=60) == 130
    text = terminal.text()
    assert "Traceback" not in text
    assert re.search(
        r"stopped by SIGINT (at|in the validation (after|in)) epoch \d+, (after )?iteration \d+; its state is in ", text
    )
    assert "set resume=True" in text
    words = shlex.split(re.search(r"and run:\n  (.+)$", text, re.M)[1].split(" && ")[-1])
    write_script(tmp_path, 0.0, epochs=2)
    done = subprocess.run([*words, "--resume"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Done: 2 epochs, 40 iterations." in done.stdout


def test_no_bar_in_a_pipe_and_head_ends_quietly(tmp_path) -> None:
    script = write_script(tmp_path)
    call = [sys.executable, str(script)]
    process = subprocess.Popen(call, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert errors == ""
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "\x1b" not in done.stdout + done.stderr
    assert "it/s" not in done.stdout + done.stderr


def test_two_runs_of_one_second_share_no_log(tmp_path) -> None:
    call = [sys.executable, str(write_script(tmp_path))]
    running = [subprocess.Popen(call, cwd=tmp_path, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=100) for process in running] == [0, 0]
    logs = list((tmp_path / "my runs").glob("*/*.log"))
    assert len(logs) == 2
    assert [log.read_text().count("Epoch(train)") for log in logs] == [4, 4]


def test_an_older_handler_of_the_stream_writes_above_the_bar(tmp_path) -> None:
    (tmp_path / "old.py").write_text(
        "import logging, sys, time\nlogging.basicConfig(stream=sys.stdout, level='INFO')\n"
        "from eng.logging.progress import open_bar\nwith open_bar('work', 40) as bar:\n"
        "    for number in range(40):\n        logging.getLogger('other').info('line %d', number)\n"
        "        print('printed', number, file=sys.stderr)\n        bar.update(number + 1)\n        time.sleep(0.01)\n"
    )
    terminal = Terminal([sys.executable, str(tmp_path / "old.py")], tmp_path, 60)
    terminal.watch()
    assert terminal.process.wait(timeout=60) == 0
    lines = [line for line in terminal.lines() if line]
    assert lines == [line for number in range(40) for line in (f"INFO:other:line {number}", f"printed {number}")]
