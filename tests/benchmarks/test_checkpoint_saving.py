"""Saving beside training, and what a safe save costs over a bare one."""

from __future__ import annotations

import os
import time

import pytest
import torch

from eng.checkpoint import AsyncCheckpointWriter, find_latest_checkpoint, save_checkpoint, write_pointer


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
