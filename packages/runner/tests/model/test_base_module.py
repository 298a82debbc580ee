from __future__ import annotations

import pytest
import torch
from model_parts import Parts
from torch import nn

from eng.model import BaseModule, ModuleDict, ModuleList, Sequential


def test_a_parameter_that_appears_meanwhile_is_named():
    class Late(BaseModule):
        def init_weights(self):
            self.late = nn.Parameter(torch.ones(1))

    with pytest.raises(ValueError, match="parameter late of Late appeared while"):
        Sequential(Late()).init_weights()


def test_containers_initialise_their_children():
    cfg = {"type": "Constant", "layer": "Linear", "val": 4}
    containers = [
        Sequential(nn.Linear(1, 1), init_cfg=cfg),
        ModuleList([nn.Linear(1, 1)], init_cfg=cfg),
        ModuleDict({"a": nn.Linear(1, 1)}, init_cfg=cfg),
    ]
    for container in containers:
        container.init_weights()
        assert next(container.parameters()).item() == 4 and container.is_init
    assert containers[0](torch.ones(1, 1)).shape == (1, 1)
    assert "init_cfg=" in repr(containers[0])


def test_init_cfg_is_copied():
    cfg = {"type": "Constant", "val": 1}
    module = Parts(cfg)
    cfg["val"] = 2
    assert module.init_cfg["val"] == 1
