"""The parts of the training job under the names that a config file gives them."""

from __future__ import annotations

from training_job import MeanError, Points, Recorder, Regressor

from eng.registry import DATASETS, HOOKS, METRICS, MODELS

MODELS.register_module(name="RegressorForTest", module=Regressor)
DATASETS.register_module(name="PointsForTest", module=Points)
METRICS.register_module(name="MeanErrorForTest", module=MeanError)
HOOKS.register_module(name="RecorderForTest", module=Recorder)
