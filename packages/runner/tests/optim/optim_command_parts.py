"""Helpers of the tests of optim command."""

from __future__ import annotations

from torch import nn

from eng.config import Config


class Services:
    """What the front door lends."""

    built = 0

    def __init__(self, config):
        self.config = config

    def load_config(self, path, cfg_options=()):
        return Config(self.config)

    def build_model(self, cfg):
        self.built += 1
        return nn.ModuleDict({"backbone": nn.Linear(1, 1), "head": nn.Linear(1, 1)})
