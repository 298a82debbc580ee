from __future__ import annotations

import os
import unittest
from pathlib import Path

import torch

from eng.logging import MessageHub, MMLogger
from eng.testing import RunnerTestCase


def make_cases():
    class Trains(RunnerTestCase):
        def test_by_epoch(self):
            runner = self.build_runner(self.epoch_based_cfg)
            runner.train()
            assert runner.epoch == 3
            assert runner.iter == 12

        def test_by_iteration(self):
            runner = self.build_runner(self.iter_based_cfg)
            runner.train()
            assert runner.iter == 12

        def test_environment(self):
            self.setup_dist_env()
            assert os.environ["WORLD_SIZE"] == "1"
            (Path(self.temp_dir.name) / "x").write_text("")
            self.clear_work_dir()
            assert list(Path(self.temp_dir.name).iterdir()) == []
            assert self.experiment_name != self.experiment_name

    return Trains


def test_cases_train_and_leave_nothing_behind():
    before = [dict(kind._instance_dict) for kind in (MMLogger, MessageHub)]
    torch.optim.SGD([torch.zeros(1)], lr=0.1)  # imports torch's compiler, which sets a variable of its own
    environment = dict(os.environ)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(make_cases()).run(result)
    assert result.testsRun == 3
    assert not result.errors + result.failures, (result.errors + result.failures)[0][1]
    assert [dict(kind._instance_dict) for kind in (MMLogger, MessageHub)] == before
    assert dict(os.environ) == environment
