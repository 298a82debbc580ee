"""What several tests of this folder share."""

from __future__ import annotations

import json
from collections import OrderedDict

import torch
from click.testing import CliRunner
from optim_command_parts import Services
from torch import nn

from eng.optim import build_optim_wrapper
from eng.optim._commands import lr

CFG = {"optimizer": {"type": "Adam", "lr": 0.1, "weight_decay": 0.01}}


PARAMWISE = dict(CFG, paramwise_cfg={"custom_keys": {"first": {"lr_mult": 0.5}}, "norm_decay_mult": 0.0})


def model(*names):
    layers = {"first": nn.Linear(3, 3), "second": nn.Linear(3, 3), "norm": nn.LayerNorm(3), "extra": nn.Linear(3, 3)}
    return nn.Sequential(OrderedDict((name, layers[name]) for name in names))


def trained(net, cfg, steps=3):
    wrapper = build_optim_wrapper(net, cfg)
    torch.manual_seed(5)
    for _ in range(steps):
        loss = sum((p * torch.randn_like(p)).sum() for _, p in sorted(net.named_parameters()))
        wrapper.update_params(loss)
    return wrapper


def group_by_name(net, wrapper):
    names = {id(p): name for name, p in net.named_parameters()}
    return {
        names[id(p)]: {k: v for k, v in group.items() if k != "params"}
        for group in wrapper.optimizer.param_groups
        for p in group["params"]
    }


class ModulatedDeformConv2d(nn.Module):
    """Stands for mmcv's, which is known by its name."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 1, 3, 3))
        self.bias = nn.Parameter(torch.ones(1))
        self.conv_offset = nn.Conv2d(2, 18, 3)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.conv = nn.Conv2d(3, 4, 3)
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.bn = nn.BatchNorm2d(4)
        self.ln = nn.LayerNorm(4)
        self.rms = nn.RMSNorm(4)
        self.dcn = ModulatedDeformConv2d()


class Manual(nn.Module):
    """The model of the manual's chapter on optimizer wrappers."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.ModuleDict({"layer0": nn.Linear(1, 1), "layer1": nn.Linear(1, 1)})
        self.head = nn.Sequential(OrderedDict(linear=nn.Linear(1, 1), bn=nn.BatchNorm1d(1)))


NORMS = {"bn.weight", "bn.bias", "ln.weight", "ln.bias", "rms.weight"}


OFFSETS = {"dcn.conv_offset.weight", "dcn.conv_offset.bias"}


RULES = {
    "lr_mult": (0, {name for name, _ in Net().named_parameters()}),
    "decay_mult": (1, {name for name, _ in Net().named_parameters()}),
    "bias_lr_mult": (0, {"conv.bias", "depthwise.bias", "dcn.bias"}),
    "bias_decay_mult": (1, {"conv.bias", "depthwise.bias", "dcn.bias"}),
    "norm_decay_mult": (1, NORMS),
    "dwconv_decay_mult": (1, {"depthwise.weight", "depthwise.bias"}),
    "flat_decay_mult": (1, NORMS | {"scale", "conv.bias", "depthwise.bias", "dcn.bias"}),
    "dcn_offset_lr_mult": (0, OFFSETS),
}


CONFIG = {
    "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
    "param_scheduler": [
        {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 5},
        {"type": "MultiStepLR", "milestones": [2], "gamma": 0.1},
        {"type": "ReduceOnPlateauLR"},
    ],
    "train_cfg": {"by_epoch": True, "max_epochs": 3},
    "train_dataloader": {"batch_size": 2, "dataset": {"type": "Twenty"}},
}


class Twenty:
    def __len__(self):
        return 20


def run(config, *words):
    services = Services(config)
    return CliRunner().invoke(lr, ["a.py", *words], obj=services), services


def points(config, *words):
    result, _ = run(config, "--json", *words)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def values(model, paramwise_cfg, lr=1.0, weight_decay=1.0):
    cfg = {"optimizer": {"type": "SGD", "lr": lr, "weight_decay": weight_decay}, "paramwise_cfg": paramwise_cfg}
    wrapper = build_optim_wrapper(model, cfg)
    names = {id(p): name for name, p in model.named_parameters()}
    return {names[id(g["params"][0])]: (g["lr"], g["weight_decay"]) for g in wrapper.optimizer.param_groups}


def rates(optimizer, *schedulers, steps=6, group=0):
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[group]["lr"])
        for scheduler in schedulers:
            scheduler.step()
    return seen


def shown(param_scheduler, optim_wrapper=None, **train_cfg) -> dict:
    from eng.optim._schedule_of_config import previews_of

    cfg = dict(
        optim_wrapper=optim_wrapper or dict(optimizer=dict(type="SGD", lr=1.0)),
        param_scheduler=param_scheduler,
        train_cfg=train_cfg,
    )
    return {name: preview.lr[0] for name, preview in previews_of(cfg, lambda: None, epoch_length=4).items()}
