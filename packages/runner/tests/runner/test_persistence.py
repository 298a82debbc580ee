"""The count of saves, by which the newest checkpoint is told; and where a run may have its folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from eng.checkpoint import BrokenCheckpointError, find_latest_checkpoint
from eng.runner import ResumeError, SettingsError
from eng.runner.environment import local_work_dir

STARTS = """
import sys, time
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import Runner

class Net(BaseModel):
    def __init__(self):
        super().__init__()
        self.fit = nn.Linear(1, 1)
    def forward(self, x, y, mode="loss"):
        return {"loss": (self.fit(x) - y).square().mean()}

class First(Hook):
    def before_train(self, runner):
        print("begins at", runner.epoch)

x = torch.linspace(0, 1, 8)[:, None]
Runner(Net(), sys.argv[1], train_dataloader=DataLoader(TensorDataset(x, x), 2), resume=True,
       train_cfg=dict(max_epochs=int(sys.argv[2])), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
       custom_hooks=[First()], log_level="ERROR").train()
"""


def test_starts_in_other_time_zones_go_on_from_the_newest(tmp_path):
    (tmp_path / "start.py").write_text(STARTS)
    said = []
    for zone, epochs in (("Asia/Shanghai", 2), ("UTC", 4), ("America/Los_Angeles", 6)):
        command = [sys.executable, "-W", "ignore", str(tmp_path / "start.py"), str(tmp_path / "work"), str(epochs)]
        done = subprocess.run(
            command, env={**os.environ, "TZ": zone}, capture_output=True, text=True, timeout=120, check=True
        )
        said.append(done.stdout.split("begins at")[1].split()[0])
    assert said == ["0", "2", "4"]


def meta(path) -> dict:
    return torch.load(path)["meta"]


def test_the_count_is_the_run_s_over_all_of_its_starts(make_runner, tmp_path):
    work = tmp_path / "work"
    before_ns = time.time_ns()
    make_runner(work_dir=str(work)).train()
    make_runner(work_dir=str(work), resume=True, train_cfg=dict(max_epochs=4)).train()
    facts = [meta(work / f"epoch_{epoch}.pth") for epoch in (1, 2, 3, 4)]
    assert [each["save_number"] for each in facts] == [1, 2, 3, 4]
    assert len({each["run_id"] for each in facts}) == 1
    assert before_ns < facts[0]["time_ns"] < facts[3]["time_ns"] < time.time_ns()


def test_a_new_run_in_the_folder_counts_for_itself(make_runner, tmp_path):
    work = tmp_path / "work"
    make_runner(work_dir=str(work), train_cfg=dict(max_epochs=4)).train()
    old = meta(work / "epoch_4.pth")["run_id"]
    make_runner(work_dir=str(work), train_cfg=dict(max_epochs=1)).train()
    new = meta(work / "epoch_1.pth")
    assert new["run_id"] != old
    assert new["save_number"] == 1
    assert find_latest_checkpoint(work) == str(work / "epoch_1.pth")


def test_weights_alone_are_no_state_to_resume_from(make_runner, parts, tmp_path):
    torch.save(parts.Line().state_dict(), tmp_path / "weights.pth")
    torch.save({"state_dict": parts.Line().state_dict(), "meta": {"iter": None}}, tmp_path / "odd.pth")
    for name in ("weights.pth", "odd.pth"):
        with pytest.raises(ResumeError, match=rf"{name} holds weights alone.*load_from"):
            make_runner(load_from=str(tmp_path / name), resume=True).train()
    runner = make_runner(load_from=str(tmp_path / "weights.pth"), resume=False)
    runner.train()
    assert runner.iter == 8


@pytest.mark.parametrize("how", [dict(resume=True), dict(resume="path"), dict(load_from="path")], ids=str)
def test_a_run_sees_a_flipped_bit(make_runner, tmp_path, how):
    work = tmp_path / "work"
    make_runner(work_dir=str(work), train_cfg=dict(max_epochs=1)).train()
    path = work / "epoch_1.pth"
    weight = torch.load(path)["state_dict"]["fit.weight"].numpy().tobytes()
    data = bytearray(path.read_bytes())
    for place in [i for i in range(len(data)) if data[i : i + 4] == weight]:
        data[place + 1] ^= 1
    path.write_bytes(data)
    settings = {key: str(path) if value == "path" else value for key, value in how.items()}
    if settings.get("resume") is True:
        runner = make_runner(work_dir=str(work), **settings)
        runner.train()
        assert runner.iter == 8
        return
    with pytest.raises(BrokenCheckpointError, match="does not match its checksum"):
        make_runner(work_dir=str(work), **settings).train()
    assert "state_dict" in make_runner(work_dir=str(work)).load_checkpoint(str(path), verify=False)


@pytest.mark.parametrize(
    "address", ["s3://bucket/run", "gs://b/r", "memory://run", "http://host/run", "s3:/bucket/run"]
)
def test_a_work_dir_of_another_storage_is_refused(make_runner, address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"work_dir='.*out_dir='"):
        make_runner(work_dir=address)
    assert list(tmp_path.iterdir()) == []


def test_a_work_dir_may_be_below_home_or_a_file_address(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert local_work_dir("~/run") == str(tmp_path / "run")
    assert local_work_dir(f"file://{tmp_path}/x") == f"{tmp_path}/x"
    assert local_work_dir(Path("a/b")) == str(tmp_path / "a" / "b")


def test_checkpoints_may_go_below_home(make_runner, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    hook = dict(checkpoint=dict(type="CheckpointHook", out_dir="~/kept"))
    make_runner(work_dir=str(tmp_path / "work"), default_hooks=hook, train_cfg=dict(max_epochs=1)).train()
    assert (tmp_path / "home" / "kept" / "work" / "epoch_1.pth").is_file()
    assert find_latest_checkpoint(tmp_path / "work") == str(tmp_path / "home" / "kept" / "work" / "epoch_1.pth")
