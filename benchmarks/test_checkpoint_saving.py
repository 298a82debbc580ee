"""Saving beside training, what a safe save costs over a bare one, and how soon a run goes on."""

from __future__ import annotations

import contextlib
import os
import time

import pytest
import torch

from eng.checkpoint import AsyncCheckpointWriter, find_latest_checkpoint, save_checkpoint, write_pointer
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import Runner


@pytest.fixture
def checkpoint():
    weights = {f"layer{index}": torch.randn(2_500_000) for index in range(10)}
    moments = {index: {"exp_avg": torch.randn(2_500_000)} for index in range(10)}
    return {"meta": {"iter": 1, "time": "20260101_000000"}, "state_dict": weights, "optimizer": {"state": moments}}


def best_of(times, action):
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return min(taken)


def test_the_stall_of_an_async_save(versus, checkpoint, tmp_path):
    blocking = best_of(3, lambda: save_checkpoint(checkpoint, tmp_path / "blocking.pth"))
    stalls = []
    with AsyncCheckpointWriter() as writer:
        writer.prepare(checkpoint)
        for _ in range(3):
            writer.wait()
            start = time.perf_counter()
            writer.save(checkpoint, tmp_path / "beside.pth")
            stalls.append(time.perf_counter() - start)
    detail = f"{max(stalls) * 1e3:.0f} ms (the worst of 3) against {blocking * 1e3:.0f} ms, 200 MB"
    versus.report("stall of an async save, share of a blocking one", f"{max(stalls) / blocking:.1%}", "<= 15%", detail)


def test_a_whole_save_against_torch_save_with_fsync(versus, checkpoint, tmp_path):
    def bare():
        with (tmp_path / "bare.pth").open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())

    versus("save_checkpoint against torch.save and fsync", lambda: save_checkpoint(checkpoint, tmp_path / "whole.pth"), bare,
           target="(checked)", rounds=4, number=1)  # fmt: skip


def test_finding_the_newest_of_many(versus, tmp_path):
    for number in range(40):
        save_checkpoint(
            {"meta": {"iter": number, "time": ""}, "state_dict": {"w": torch.ones(1000)}},
            tmp_path / f"iter_{number}.pth",
        )
    write_pointer(tmp_path, tmp_path / "iter_39.pth")
    versus.per_call(
        "find_latest_checkpoint among 40", lambda: find_latest_checkpoint(tmp_path), target="<= 100 ms", rounds=3
    )


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, x, mode="tensor"):
        return {"loss": self.fit(x).square().mean()}


class Rows(torch.utils.data.Dataset):
    """As many samples as ImageNet; counts those that are read, in all copies of it."""

    read = 0

    def __len__(self):
        return 1_281_167

    def __getitem__(self, index):
        Rows.read += 1
        return torch.tensor([float(index)])


class FirstBatch(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        raise TimeoutError


def first_batch(work_dir, sampler, batch_size, resume):
    """Seconds from `train()` to the first batch, and the samples read for it."""
    Rows.read = 0
    by_epoch = sampler["type"] == "DefaultSampler"
    runner = Runner(
        Line(), str(work_dir),
        train_dataloader=dict(dataset=Rows(), batch_size=batch_size, sampler=sampler, collate_fn="default_collate"),
        train_cfg=dict(by_epoch=True, max_epochs=1000) if by_epoch else dict(by_epoch=False, max_iters=10**8),
        optim_wrapper=dict(optimizer=dict(type="Adam")), custom_hooks=[FirstBatch()], resume=resume,
        randomness=dict(seed=0), log_level="ERROR", experiment_name=f"first{time.time()}",
    )  # fmt: skip
    start = time.perf_counter()
    with contextlib.suppress(TimeoutError):
        runner.train()
    return time.perf_counter() - start, Rows.read, runner


@pytest.mark.parametrize("sampler", ["DefaultSampler", "InfiniteSampler"])
@pytest.mark.parametrize("batch_size", [1, 32])
def test_a_resume_at_iteration_a_million(versus, tmp_path, sampler, batch_size):
    cfg = dict(type=sampler, shuffle=True)
    fresh, _, runner = first_batch(tmp_path, cfg, batch_size, resume=False)
    passes, samples = divmod(10**6 * batch_size, len(Rows()))
    loop = runner.train_loop
    runs_over = dict(epoch=passes if sampler == "DefaultSampler" else 0)
    loop.position = lambda point: {
        **runs_over, "pass": passes, "iter": 10**6, "batch": samples // batch_size, "samples": samples,
        "validated_iter": 10**6, "stop_training": False,
    }  # fmt: skip
    runner.save_checkpoint(str(tmp_path), "iter_1000000.pth")
    taken, read, resumed = min(
        (first_batch(tmp_path, cfg, batch_size, resume=True) for _ in range(3)), key=lambda t: t[0]
    )
    assert resumed.iter == 10**6
    assert read == batch_size
    detail = f"to the first batch, {read} samples read; a new run takes {fresh * 1e3:.0f} ms"
    versus.report(
        f"a resume at iteration 1 M, {sampler}, batches of {batch_size}", f"{taken * 1e3:.0f} ms", "<= 1 s", detail
    )
