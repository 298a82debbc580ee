"""Optimizer states of checkpoints that do not name the classes of their optimizers."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from eng.optim import OptimWrapper, build_optim_wrapper
from eng.runner.errors import ResumeError
from eng.runner.state.differences import check_optimizers

ADAMW: dict[str, Any] = {"type": "AdamW", "lr": 0.1}
SGD: dict[str, Any] = {"type": "SGD", "lr": 0.1, "momentum": 0.9}
RPROP: dict[str, Any] = {"type": "Rprop", "lr": 0.1}


def split(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two optimizers: the second for the parameters of the layer ``1``, the first for all others."""
    return {**first, "split": {**second, "modules": ["1"]}}


def wrapper_of(optimizer: dict[str, Any]) -> OptimWrapper:
    wrapper: OptimWrapper = build_optim_wrapper(
        nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), {"optimizer": dict(optimizer)}
    )
    return wrapper


@pytest.mark.parametrize(
    "optimizer",
    [ADAMW, SGD, split(SGD, ADAMW), split(ADAMW, SGD), split(ADAMW, ADAMW), split(RPROP, ADAMW)],
    ids=["AdamW", "SGD", "SGD and AdamW", "AdamW and SGD", "AdamW twice", "Rprop and AdamW"],
)
def test_a_state_without_classes_resumes_with_its_optimizer(optimizer: dict[str, Any]) -> None:
    saved = wrapper_of(optimizer).state_dict()
    check_optimizers(wrapper_of(optimizer), saved, None)
    wrapper_of(optimizer).load_state_dict(saved)


@pytest.mark.parametrize(
    ("saved", "present", "message"),
    [
        (ADAMW, SGD, r"one with \['betas'\]\) .* \(\{'': 'SGD'\} with \['dampening'\]\)"),
        (ADAMW, split(SGD, ADAMW), r"one with \['betas'\]\) .*'SplitOptimizer'\} with \['betas'\] and \['dampening'\]\)"),
        (split(ADAMW, SGD), ADAMW, r"one with \['betas'\] and \['dampening'\]\) .*'AdamW'\} with \['betas'\]\)"),
        (split(ADAMW, SGD), split(ADAMW, RPROP), r"\['betas'\] and \['dampening'\]\) .* with \['betas'\] and \['etas'\]\)"),
    ],
    ids=["AdamW to SGD", "one to two", "two to one", "another second"],
)  # fmt: skip
def test_a_state_of_other_optimizers_is_refused(saved: dict[str, Any], present: dict[str, Any], message: str) -> None:
    with pytest.raises(ResumeError, match=message):
        check_optimizers(wrapper_of(present), wrapper_of(saved).state_dict(), None)
