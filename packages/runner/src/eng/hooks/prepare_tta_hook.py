"""PrepareTTAHook: wraps the model for test-time augmentation before the test."""

from __future__ import annotations

from typing import Any

from eng.checkpoint.unwrap import unwrap
from eng.registry import HOOKS, MODELS

from .hook import Hook
from .view import RunnerView


@HOOKS.register_module()
class PrepareTTAHook(Hook):
    """Replaces the model by one that merges the predictions for several views of a sample.

    Args:
        tta_cfg: config of a :class:`eng.model.BaseTTAModel`, whose ``module`` becomes the runner's model.
    """

    def __init__(self, tta_cfg: dict[str, Any]) -> None:
        self.tta_cfg = tta_cfg

    def before_test(self, runner: RunnerView) -> None:
        """Builds the wrapper around the current model."""
        model = runner.model
        wrapped = MODELS.build(dict(self.tta_cfg, module=unwrap(model)))
        wrapped.to(next(iter(model.parameters())).device)
        runner.model = wrapped


def use_pipeline(dataloader: Any, pipeline: Any) -> None:
    """Gives a pipeline to the dataset in the config of a dataloader, or to the innermost dataset of wrappers.

    Args:
        dataloader: the config; changed in place.
        pipeline: transforms.
    """
    dataset = dataloader["dataset"]
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    dataset["pipeline"] = pipeline


def build_runner_with_tta(cfg: Any) -> Any:
    """A runner for ``cfg`` that tests with augmentation, from its ``tta_model`` and ``tta_pipeline``.

    Args:
        cfg: a config with ``tta_model``, ``tta_pipeline`` and a ``test_dataloader`` given as a dict: one loader, or those
            of several sets by their names.

    Raises:
        ValueError: one of these is missing.
    """
    from eng.registry import RUNNERS

    for key in ("tta_model", "tta_pipeline"):
        if key not in cfg:
            raise ValueError(f"test-time augmentation needs {key!r} in the config")
    dataloader = cfg["test_dataloader"]
    for loader in [dataloader] if "dataset" in dataloader else dataloader.values():
        use_pipeline(loader, cfg["tta_pipeline"])
    if "runner_type" in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = RUNNERS.get("Runner").from_cfg(cfg)
    runner.register_hook(PrepareTTAHook(tta_cfg=cfg["tta_model"]))
    return runner
