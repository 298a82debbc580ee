"""A schedule-free optimizer for tests where the package schedulefree is not installed."""

from __future__ import annotations

import torch


class ScheduleFreeSGD(torch.optim.Optimizer):
    """The schedule-free rule for SGD, with the interface of the package schedulefree."""

    def __init__(self, params, lr=0.1, beta=0.9):
        super().__init__(params, dict(lr=lr, beta=beta, train_mode=False, k=0))

    @torch.no_grad()
    def _move(self, weight, train):
        for group in self.param_groups:
            if group["train_mode"] != train:
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.lerp_(self.state[p]["z"], weight(group["beta"]))
                group["train_mode"] = train

    def train(self):
        self._move(lambda beta: 1 - beta, True)

    def eval(self):
        self._move(lambda beta: 1 - 1 / beta, False)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            assert group["train_mode"], "step in the mode of evaluation"
            group["k"] += 1
            share = 1 / group["k"]
            for p in (p for p in group["params"] if p.grad is not None):
                z = self.state[p].setdefault("z", p.clone())
                p.lerp_(z, share)
                p.add_(p.grad, alpha=group["lr"] * (group["beta"] * (1 - share) - 1))
                z.sub_(p.grad, alpha=group["lr"])
