"""PrepareTTAHook: wraps the model for test-time augmentation (TTA) before the test."""

from __future__ import annotations

from typing import Any

from eng.checkpoint.unwrap import unwrap
from eng.registry import HOOKS, MODELS

from .hook import Hook
from .view import RunnerView


@HOOKS.register_module()
class PrepareTTAHook(Hook):
    """Wraps the model before a test, for test-time augmentation (TTA).

    The wrapper merges the predictions of the model for several augmented views of each sample.

    Args:
        tta_cfg: config of a :class:`eng.model.BaseTTAModel`, whose ``module`` becomes the runner's model.
    """

    def __init__(self, tta_cfg: dict[str, Any]) -> None:
        self.tta_cfg = tta_cfg

    def before_test(self, runner: RunnerView) -> None:
        """Builds the TTA model around the current model, and makes it the runner's model."""
        model = runner.model
        wrapped = MODELS.build(dict(self.tta_cfg, module=unwrap(model)))
        wrapped.to(next(iter(model.parameters())).device)
        runner.model = wrapped


def use_pipeline(dataloader: Any, pipeline: Any) -> None:
    """Sets the pipeline of transforms of the dataset in a dataloader's config.

    If the dataset is inside dataset wrappers, the pipeline of the innermost dataset is set.

    Args:
        dataloader: config of the dataloader, which is changed in place.
        pipeline: list of configs of the transforms.
    """
    dataset = dataloader["dataset"]
    while "dataset" in dataset:
        dataset = dataset["dataset"]
    dataset["pipeline"] = pipeline


def build_runner_with_tta(cfg: Any) -> Any:
    """Builds a runner that tests with test-time augmentation, from ``tta_model`` and ``tta_pipeline`` of a config.

    Args:
        cfg: a config with ``tta_model``, ``tta_pipeline`` and ``test_dataloader``. The dataloader is a dict: the config of
            one dataloader, or configs of several by name.

    Raises:
        ValueError: ``tta_model`` or ``tta_pipeline`` is missing.
    """
    from eng.registry import RUNNERS

    for key in ("tta_model", "tta_pipeline"):
        if key not in cfg:
            raise ValueError(f"test-time augmentation needs {key!r} in the config")
    dataloader = cfg["test_dataloader"]
    if "dataset" in dataloader:
        loaders = [dataloader]
    else:
        loaders = list(dataloader.values())
    for loader in loaders:
        use_pipeline(loader, cfg["tta_pipeline"])
    if "runner_type" in cfg:
        runner = RUNNERS.build(cfg)
    else:
        runner = RUNNERS.get("Runner").from_cfg(cfg)
    runner.register_hook(PrepareTTAHook(tta_cfg=cfg["tta_model"]))
    return runner
