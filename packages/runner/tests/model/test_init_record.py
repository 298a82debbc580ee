from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from model_parts import Parts
from torch import nn

from eng.logging import MMLogger
from eng.model import BaseModule, ModuleList, constant_init


class Own(BaseModule):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def init_weights(self):
        super().init_weights()
        with torch.no_grad():
            self.linear.weight.fill_(0.125)


class Whole(BaseModule):
    def __init__(self):
        super().__init__({"type": "Constant", "layer": "Conv2d", "val": 2, "bias": 3})
        self.conv = nn.Conv2d(1, 1, 1)
        self.own = Own()
        self.rest = ModuleList([nn.Linear(1, 1)])


def test_what_initialised_each_parameter_is_written_to_the_log_file(tmp_path):
    logger = MMLogger.get_instance("init-record", log_file=str(tmp_path / "run.log"))
    module = Whole()
    module.init_weights()
    for handler in logger.handlers:
        handler.flush()
    (file,) = tmp_path.glob("*.log")
    text = file.read_text()
    assert "What set each parameter" in text
    assert "\nconv.weight - torch.Size([1, 1, 1, 1]): \nConstantInit: val=2, bias=3 \n" in text
    assert "\nown.linear.weight - torch.Size([2, 2]): \nSet in init_weights() of Own, the user's own \n" in text
    assert "\nrest.0.weight - torch.Size([1, 1]): \nLeft by init_weights() of Whole as it was \n" in text
    assert not any(hasattr(part, "_params_init_info") for part in module.modules())


def test_second_call_only_warns():
    module = Parts({"type": "Constant", "layer": "Conv2d", "val": 2})
    module.init_weights()
    assert module.is_init
    constant_init(module.conv, 9)
    with pytest.warns(UserWarning, match="init_weights of Parts ran before"):
        module.init_weights()
    assert module.conv.weight.item() == 9


def test_children_that_are_done_stay():
    module = Whole()
    module.own.is_init = True
    before = module.own.linear.weight.clone()
    module.init_weights()
    assert torch.equal(module.own.linear.weight, before)


def test_a_log_that_takes_no_more_ends_no_initialisation(tmp_path, caplog, monkeypatch):
    def full(path, *args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    MMLogger.get_instance("init-record-full", log_file=str(tmp_path / "run.log"))
    monkeypatch.setattr(Path, "open", full)
    module = Whole()
    module.init_weights()
    assert module.conv.weight.item() == 2 and torch.all(module.own.linear.weight == 0.125)
    assert "what set each parameter is not written to" in caplog.text
