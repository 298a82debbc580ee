"""Secrets that a run is started with, and the files that it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eng.runner.passport.masking import is_secret_setting, masked, masked_settings, masked_words


@pytest.mark.parametrize(
    "text",
    [
        "https://me:{0}@github.com/a/b.git",
        "https://{0}@github.com/a/b.git",
        "git+https://oauth2:{0}@gitlab.com/x@main#egg=y",
        "postgresql://me:{0}@db:5432/runs",
        "https://me:p@{0}@host/x",
        "https://bucket.s3.amazonaws.com/a?X-Amz-Signature={0}&x=1",
        "http://host/a?access_token={0}",
        "api_key='{0}'",
        'init_kwargs=dict(project="p", api_key="{0}")',
        '{{"tracker": {{"password": "{0}", "x": 1}}}}',
        "+    WANDB_API_KEY: {0}",
        "+DB_PASSWORD={0}",
        "tracker.auth_token={0}",
        "Authorization: Bearer {0}",
        "headers=dict(Authorization='Basic {0}')",
        "aws_secret_access_key = {0}",
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(text: str) -> None:
    secret = "q7Rt/x+Zm04LkW" if "://" not in text else "q7RtxZm04LkW"
    shown = masked(text.format(secret))
    assert secret not in shown
    assert "***" in shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "token",
    [
        "hf_abcdefghijklmnopqrstuv", "ghp_0123456789abcdefghij", "github_pat_11AAAAAAA0abcdefghijkl", "glpat-abcdefghij0123456789",
        "sk-proj-abcdefghij0123456789", "AKIAIOSFODNN7EXAMPLE", "xoxb-123456789012-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlMTIz",
    ],
)  # fmt: skip
def test_tokens_of_known_forms_are_hidden_under_any_name(token: str) -> None:
    assert masked(f"x = ['{token}', 1]") == "x = ['***', 1]"


@pytest.mark.parametrize(
    "text",
    [
        "pad_token='<pad>'", "max_tokens=4096", "sort_key='image_id'", "num_tokens: 12", "model.cls_token_id=0",
        "keys=['img', 'label']", "passes=3", "password=None", "api_key=os.environ", "git@github.com:a/b.git",
        "ssh://git@github.com/a/b.git", "author='me'", "load_from='https://download.openmmlab.com/a.pth'",
        "tokenizer='gpt2'", "tests/test_token.py::test_x", "secretary=1", "monkey='x'",
    ],
)  # fmt: skip
def test_settings_of_models_and_data_stay(text: str) -> None:
    assert masked(text) == text


def test_the_word_behind_a_secret_option_is_hidden() -> None:
    words = ["eng", "train", "--hub-token", "abc", "--cfg-options", "a.api_key=xyz", "lr=0.1", "--password=pw", "-v"]
    assert masked_words(words) == [
        "eng", "train", "--hub-token", "***", "--cfg-options", "a.api_key=***", "lr=0.1", "--password=***", "-v",
    ]  # fmt: skip


def test_settings_are_hidden_by_their_keys() -> None:
    settings = {"tracker.api_key": "'abc'", "token": "'abcdefgh'", "api_key": "None", "model.pad_token": "'<pad>'"}
    assert masked_settings(settings) == {**settings, "tracker.api_key": "'***'", "token": "'***'"}
    assert not is_secret_setting("data.key")


def test_variables_are_hidden_as_json_python_and_addresses_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = 'a"b\\c\nd/é'
    monkeypatch.setenv("MY_SECRET", secret)
    for text in (secret, json.dumps({"x": secret}), repr(secret), "http://h/?q=a%22b%5Cc%0Ad%2F%C3%A9"):
        shown = masked(text)
        assert "${MY_SECRET}" in shown
        assert "c" not in shown.replace("${MY_SECRET}", "")


TRAINING = """
import sys
import torch
from eng.config import Config
from eng.model import BaseModel
from eng.registry import MODELS
from eng.runner import Runner

@MODELS.register_module()
class Net(BaseModel):
    def __init__(self, tracker=None, remote="", pad_token=""):
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)
    def forward(self, x, mode="tensor"):
        return {"loss": self.fit(x).square().mean()}

cfg = Config.fromfile("config.py")
data = torch.utils.data.TensorDataset(torch.ones(4, 1))
cfg.work_dir = "run"
runner = Runner.from_cfg(cfg)
runner.train()
"""
CONFIG = """
model = dict(type="Net", tracker=dict(api_key="PLANTED-config-key"), remote="https://me:PLANTED-remote@host/a", pad_token="<pad>")
train_dataloader = dict(dataset=dict(type="torch.utils.data.TensorDataset"), batch_size=4)
train_cfg = dict(max_epochs=1)
optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.1))
"""


def test_no_secret_stands_in_a_passport(tmp_path: Path) -> None:
    """Planted in variables, in the config, on the command line, in git's remote and diff, and in how a package came."""
    train = TRAINING.replace("runner = Runner.from_cfg(cfg)", "cfg.train_dataloader = None\nrunner = Runner(cfg=cfg, model=cfg.model, work_dir='run', train_dataloader=torch.utils.data.DataLoader(data), train_cfg=cfg.train_cfg, optim_wrapper=cfg.optim_wrapper)")  # fmt: skip
    (tmp_path / "train.py").write_text(train)
    (tmp_path / "config.py").write_text(CONFIG)
    (tmp_path / "code.py").write_text("x = 1\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (
        ["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["remote", "add", "origin", "https://x:PLANTED-origin@host/a"],
    ):  # fmt: skip
        subprocess.run([*git, *words], cwd=tmp_path, check=True, timeout=30)
    (tmp_path / "code.py").write_text("API_TOKEN = 'PLANTED-diff'\n")
    package = tmp_path / "site" / "mine-1.0.dist-info"
    package.mkdir(parents=True)
    (package / "direct_url.json").write_text('{"url": "https://me:PLANTED-package@host/a.whl"}')
    import os

    environment = {
        **os.environ, "HF_TOKEN": "PLANTED-variable", "PYTHONPATH": str(tmp_path / "site"),
        "REMOTE": "https://me:PLANTED-address@host",
    }  # fmt: skip
    call = [sys.executable, "train.py", "--api-key", "PLANTED-option", "a.password=PLANTED-word", "PLANTED-variable"]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (passport,) = (tmp_path / "run").glob("*/passport.json")
    names = ("passport.json", "end.json", "code.diff", "run_config.py")
    for file in [passport.with_name(name) for name in names]:
        assert "PLANTED" not in file.read_text(), file.name
    facts = json.loads(passport.read_text())
    assert facts["command"][1:] == ["train.py", "--api-key", "***", "a.password=***", "${HF_TOKEN}"]
    assert facts["config"]["model.pad_token"] == "'<pad>'"
    assert "mine==1.0" in facts["packages"]
