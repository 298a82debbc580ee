"""Start method and backend are decided once: what the user sets, else what the program chose, else a default."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp

from eng.runner import environment
from eng.runner.errors import SettingsError


@pytest.fixture(autouse=True)
def start_method():
    before = mp.get_start_method(allow_none=True)
    yield
    mp.set_start_method(before, force=True)


@pytest.fixture
def joined(monkeypatch):
    """What `init_dist` was called with; no process group is made."""
    calls = []
    monkeypatch.setattr(environment, "init_dist", lambda launcher, **options: calls.append((launcher, options)))
    monkeypatch.setattr(environment, "start_watch", lambda: calls.append("watch"))
    return calls


@pytest.mark.parametrize(
    ("chosen", "setting", "method"),
    [(None, {}, "fork"), ("spawn", {}, "spawn"), (None, {"mp_start_method": "spawn"}, "spawn")],
    ids=["default", "program", "setting"],
)
def test_start_method_without_a_warning(chosen, setting, method, joined, caplog):
    mp.set_start_method(chosen, force=True)
    with caplog.at_level(logging.WARNING):
        environment.setup_environment({"mp_cfg": setting}, "pytorch")
    assert mp.get_start_method() == method
    assert not caplog.records


def test_setting_that_changes_the_programs_choice_is_told(joined, caplog):
    mp.set_start_method("spawn", force=True)
    with caplog.at_level(logging.WARNING):
        environment.setup_environment({"mp_cfg": {"mp_start_method": "fork"}}, "none")
    assert mp.get_start_method() == "fork"
    assert ["fork" in record.getMessage() and "spawn" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("env_cfg", "device", "backend"),
    [
        ({}, "cpu", "gloo"),
        ({}, "cuda", "nccl"),
        ({"dist_cfg": {"backend": None}}, "cpu", "gloo"),
        ({"dist_cfg": {"backend": "mpi"}}, "cuda", "mpi"),
        ({"backend": "gloo"}, "cuda", "gloo"),
        ({"dist_cfg": {"backend": "nccl", "timeout": 9}}, "cpu", "nccl"),
    ],
)
def test_backend_is_the_users_or_the_devices(env_cfg, device, backend, joined, monkeypatch):
    monkeypatch.setattr(environment, "get_device", lambda: device)
    environment.setup_environment(env_cfg, "pytorch")
    assert joined[0][1]["backend"] == backend
    assert joined[1] == "watch"


def test_the_report_names_the_seed_of_numpy_as_the_manual_prints_it():
    before = np.random.get_state()  # what is reported
    np.random.seed(1513128759)
    try:
        lines = environment.environment_report({}).splitlines()
    finally:
        np.random.set_state(before)
    assert "System environment:" in lines
    assert "    numpy_random_seed: 1513128759" in lines


def test_matmul_precision_is_set_where_it_is_asked_for(monkeypatch):
    set_to = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", set_to.append)
    environment.setup_environment({}, "none")
    environment.setup_environment({"matmul_precision": "high"}, "none")
    assert set_to == ["high"]
    with pytest.raises(SettingsError, match="matmul_precision must be one of 'highest', 'high', 'medium', got 'tf32'"):
        environment.setup_environment({"matmul_precision": "tf32"}, "none")
