"""Run: the members of a Runner that other modules of this package use."""

from __future__ import annotations

from typing import Any, Protocol

from eng.config import Config
from eng.hooks.view import RunnerView
from eng.logging import MessageHub

from .hook_list import HookList
from .lazy import Lazy
from .settings import Randomness, RunnerSettings


class Run(RunnerView, Protocol):
    """The members of a Runner that loops, builders and reports use, in addition to those that hooks use."""

    settings: RunnerSettings
    randomness: Randomness
    hook_list: HookList
    message_hub: MessageHub
    cfg: Config
    train_part: Lazy[Any]
    val_part: Lazy[Any]
    test_part: Lazy[Any]

    @property
    def seed(self) -> int:
        """Seed of the run."""

    @property
    def val_loop(self) -> Any:
        """The validation loop; None if the run has no validation."""

    def build_dataloader(
        self, dataloader: object, seed: int | None = None, diff_rank_seed: bool = False, per_sample: bool = True
    ) -> Any:
        """Builds a dataloader from its config."""

    def build_evaluator(self, evaluator: object) -> Any:
        """Builds an evaluator from its config."""

    def run_facts(self) -> dict[str, Any]:
        """Returns config, code, data, world size and versions of the run, to compare the run with another run."""
