"""What a newcomer typed by mistake or without the docs, and what eng answered; README.md beside this file lists all of it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from eng.cli import main
from eng.evaluator import BaseMetric
from eng.infer import BaseInferencer
from eng.model import BaseModel
from eng.runner import Runner

ROOT = Path(__file__).parents[3]
CONFIG = """
model = dict(type="torch.nn.Linear", in_features=1, out_features=1, loss=dict(type="MSELoss"))
train_dataloader = dict(dataset=dict(type="Points"), batch_size=4, num_workers=0, collate_fn=dict(type="default_collate"))
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
param_scheduler = dict(type="LinearLR", start_factor=0.1, end=2)
train_cfg = dict(max_epochs=2)
"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    (tmp_path / "config.py").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit status of ``eng WORDS`` and all that it printed."""
    status = main(list(words))
    streams = capsys.readouterr()
    return status, streams.out + streams.err


# --- names that can be installed -------------------------------------------------------------------------------------


def texts() -> list[Path]:
    pages = [
        ROOT / "README.md",
        *sorted((ROOT / "docs").rglob("*.md")),
        *sorted((ROOT / "packages").glob("*/README.md")),
    ]
    return [*pages, *sorted((ROOT / "packages").glob("*/src/**/*.py"))]


def test_no_page_and_no_message_sends_anybody_to_the_index_for_eng() -> None:
    """The name `eng` on the index belongs to somebody else, and eng-* are not on it."""
    commands = [
        (path.relative_to(ROOT), match[0])
        for path in texts()
        for match in re.finditer(r"pip install [^\n#`]*", path.read_text(encoding="utf-8"))
    ]
    assert len(commands) > 30
    ours = re.compile(r"(?<![\w./-])eng(-\w+)?(\[\w+\])?(?![\w./-])")
    warnings = [
        (Path("docs") / page, "pip install eng") for page in ("faq.md", "start/install.md", "start/install.zh.md")
    ]
    wrong = [
        (path, text)
        for path, text in commands
        if ours.search(text.removeprefix("pip install"))
        and "--find-links" not in text
        and (path, text) not in warnings  # these pages say that it is wrong
    ]
    assert wrong == []


def test_tables_of_what_to_install_name_libraries() -> None:
    rows = [
        line
        for path in texts()
        if path.suffix == ".md"
        for line in path.read_text("utf-8").splitlines()
        if line.startswith("|")
    ]
    assert len(rows) > 300
    assert [row for row in rows if re.search(r"`eng-\w+\[\w+\]`", row)] == []


# --- slips on the command line ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "config.py", "--epochs", "3"), "train_cfg.max_epochs"),
        (("lr", "config.py", "--cfg-options", "param_scheduler=foo"), "param_scheduler"),
        (("ckpt", "ls", "config.py"), "is a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_slip_is_answered_in_a_few_lines(project, capsys, words, message) -> None:
    status, text = answer(capsys, *words)
    assert status in (1, 2)
    assert message in text
    assert "Traceback" not in text
    assert len(text.splitlines()) <= 12, text


def test_the_command_after_init_works_with_spaces_in_the_name(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    status, text = answer(capsys, "init", "my proj 2")
    assert status == 0
    change_folder = shlex.split(re.search(r"cd ([^&\n]+)", text)[0])
    assert change_folder[:2] == ["cd", "my proj 2"]


# --- parts of a run that do not fit ----------------------------------------------------------------------------------


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, x, y, mode="tensor"):
        out = self.fit(x)
        return {"loss": (out - y).square().mean()} if mode == "loss" else [out]


class Plain(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        self.results.append(1.0)

    def compute_metrics(self, results):
        return 1.0


class Numbers(BaseInferencer):
    def _init_pipeline(self, cfg):
        return float

    def visualize(self, inputs, preds, show=False):
        return None

    def postprocess(self, preds, visualization, return_datasample=False):
        return preds


@pytest.mark.parametrize("device", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_named(device) -> None:
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used here: .*the default"):
        Numbers(dict(model=dict(type=Line)), device=device)


def loader() -> torch.utils.data.DataLoader:
    x = torch.linspace(0, 1, 8)[:, None]
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, 3 * x), batch_size=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(optimizer_wrapper=dict()), r"optimizer_wrapper.*optim_wrapper"),
        (dict(optim_wrapper=dict(type="SGD", lr=0.1)), r"optimizer=dict\("),
        (dict(param_scheduler=dict(type=torch.optim.lr_scheduler.StepLR, step_size=1)), r"eng\.optim.*type='StepLR'"),
        (dict(val_dataloader=loader(), val_cfg=dict(), val_evaluator=Plain()), r"compute_metrics.*dict"),
        (dict(custom_hooks=["EMAHook"]), r"custom_hooks|hook"),
        (dict(default_hooks=dict(checkpont=dict(type="CheckpointHook"))), r"checkpont.*checkpoint"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_a_wrong_part_is_named_with_what_to_write(tmp_path, changes, message) -> None:
    settings = dict(
        model=Line(), work_dir=str(tmp_path), train_dataloader=loader(), train_cfg=dict(max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)), log_level="ERROR",
    )  # fmt: skip
    with pytest.raises(Exception, match=f"(?s){message}"):
        Runner(**{**settings, **changes}).train()


# --- what a run does and says ----------------------------------------------------------------------------------------


def test_settings_of_the_command_line_take_part(project, capsys) -> None:
    status, text = answer(capsys, "config", "check", "config.py", "--cfg-options", "custom_imports.imports=[not_there]")
    assert status != 0
    assert "not_there" in text
    hooks = "custom_hooks=[dict(type=EMAHook, momentumm=0.1)]"
    status, text = answer(capsys, "config", "check", "config.py", "--cfg-options", hooks)
    assert status == 1
    assert "momentumm" in text and "momentum" in text


def test_a_run_says_nothing_twice(tmp_path, capsys) -> None:
    for resume in (False, True):
        Runner(
            Line(), str(tmp_path / "runs"), train_dataloader=loader(), train_cfg=dict(max_epochs=1 + resume),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)), resume=resume,
        ).train()  # fmt: skip
        lines = [line.partition(" - eng")[2] or line for line in capsys.readouterr().out.splitlines() if line.strip()]
        assert len(lines) > 15
        assert [line for line in lines if lines.count(line) > 1] == []
