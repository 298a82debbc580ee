from __future__ import annotations

import doctest
import importlib

import pytest

import eng.model

MODULES = [
    "_init_functions",
    "_initializers",
    "averaged_model",
    "base_model.base_model",
    "adapters.batches",
    "adapters.building",
    "adapters.losses",
    "adapters.predictions",
    "adapters.supervised",
    "base_model.data_preprocessor",
    "base_module",
    "efficient_conv_bn_eval",
    "test_time_aug",
    "utils",
    "weight_init",
    "wrappers.distributed",
    "wrappers.fully_sharded_distributed",
    "wrappers.seperate_distributed",
    "wrappers.utils",
]
REFERENCE = "MMDistributedDataParallel is_model_wrapper BaseAveragedModel StochasticWeightAverage ExponentialMovingAverage MomentumAnnealingEMA BaseModel BaseDataPreprocessor ImgDataPreprocessor MMSeparateDistributedDataParallel BaseModule stack_batch merge_dict detect_anomalous_params ModuleList ModuleDict Sequential revert_sync_batchnorm update_init_info constant_init xavier_init normal_init trunc_normal_init uniform_init kaiming_init caffe2_xavier_init bias_init_with_prob BaseInit ConstantInit XavierInit NormalInit TruncNormalInit UniformInit KaimingInit Caffe2XavierInit PretrainedInit initialize convert_sync_batchnorm BaseTTAModel MMFullyShardedDataParallel"
OURS = "SupervisedModel Predictions LossTypeError NoLossError BatchTypeError ImageShapeError InitCfgError OverrideTargetError WrapperOptionError"


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(f"eng.model.{name}")).failed == 0


def test_public_names():
    assert sorted(eng.model.__all__) == sorted((REFERENCE + " " + OURS).split())
    assert all(hasattr(eng.model, name) for name in eng.model.__all__)
