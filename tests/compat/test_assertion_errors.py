"""Usage errors for which MMEngine 0.10.7 raises AssertionError: code that catches that catches ours, and so does ValueError.

The table was recorded by running each call on MMEngine 0.10.7.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from eng import dataset, dist, fileio, model
from eng.structures import InstanceData, LabelData, PixelData


class Rows(dataset.BaseDataset):
    def load_data_list(self):
        return [{"a": 1}, {"a": 2}, {"a": 3}]


class WithoutTestStep(nn.Module):
    """A model that cannot be tested."""


class Merging(model.BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return data_samples_list


def dict_of_one_word():
    fileio.put_text("cat\n", "memory://words/a.txt")
    fileio.dict_from_file("memory://words/a.txt")


def image_batch(inputs, **settings):
    model.ImgDataPreprocessor(**settings).forward({"inputs": inputs})


RGB = {"mean": [1, 2, 3], "std": [1, 1, 1]}
CALLS = {
    "broadcast_object_list of a tuple": (lambda: dist.broadcast_object_list((1,)), TypeError),
    "all_reduce_dict of a list": (lambda: dist.all_reduce_dict([1]), TypeError),
    "collect_results, tmpdir on a gpu": (lambda: dist.collect_results([1], 1, device="gpu", tmpdir="x"), ValueError),
    "dict_from_file, key without value": (dict_of_one_word, ValueError),
    "FileClient.parse_uri_prefix of a number": (lambda: fileio.FileClient.parse_uri_prefix(3), TypeError),
    "FileClient.infer_client of nothing": (lambda: fileio.FileClient.infer_client(), ValueError),
    "register_backend, prefixes": (lambda: fileio.register_backend("b", fileio.LocalBackend, prefixes=3), TypeError),
    "isfile of a number": (lambda: fileio.isfile(3), TypeError),
    "list_dir_or_file of a number": (lambda: list(fileio.list_dir_or_file(3)), TypeError),
    "entry without its path": (lambda: Rows().parse_data_info({"b": 1}), ValueError),
    "subset, number outside": (lambda: Rows().get_subset([7]), IndexError),
    "preprocessor, both conversions": (lambda: image_batch([], bgr_to_rgb=True, rgb_to_bgr=True), ValueError),
    "preprocessor, mean without std": (lambda: image_batch([], mean=[1, 2, 3]), ValueError),
    "preprocessor, two means": (lambda: image_batch([], mean=[1, 2], std=[1, 2]), ValueError),
    "preprocessor, two stds": (lambda: image_batch([], mean=[1, 2, 3], std=[1, 2]), ValueError),
    "preprocessor, grey image": (lambda: image_batch([torch.ones(1, 4, 4)], **RGB), ValueError),
    "preprocessor, no batch": (lambda: image_batch(torch.ones(4, 4)), ValueError),
    "xavier_init": (lambda: model.xavier_init(nn.Linear(1, 1), distribution="x"), ValueError),
    "kaiming_init": (lambda: model.kaiming_init(nn.Linear(1, 1), distribution="x"), ValueError),
    "average, momentum": (lambda: model.ExponentialMovingAverage(nn.Linear(1, 1), momentum=2), ValueError),
    "average, gamma": (lambda: model.MomentumAnnealingEMA(nn.Linear(1, 1), gamma=0), ValueError),
    "stack_batch of a tensor": (lambda: model.stack_batch(torch.ones(2)), TypeError),
    "stack_batch of nothing": (lambda: model.stack_batch([]), ValueError),
    "stack_batch, dimensions": (lambda: model.stack_batch([torch.ones(1, 2, 2), torch.ones(2, 2)]), ValueError),
    "test-time augmentation": (lambda: Merging(module=WithoutTestStep()), TypeError),
    "InstanceData.cat of nothing": (lambda: InstanceData.cat([]), ValueError),
    "InstanceData, length": (lambda: setattr(InstanceData(a=[1]), "b", [1, 2]), ValueError),
    "InstanceData, rows by a float": (lambda: InstanceData(a=[1])[1.5], TypeError),
    "set_metainfo of a number": (lambda: InstanceData().set_metainfo(3), TypeError),
    "set_field, kind": (lambda: InstanceData().set_field([1], "a", field_type="x"), ValueError),
    "set_field, class": (lambda: InstanceData().set_field([1], "a", dtype=str), TypeError),
    "LabelData of a number": (lambda: LabelData.onehot_to_label(3), TypeError),
    "PixelData, three indices": (lambda: PixelData(a=torch.ones(1, 2, 2))[1, 1, 1], ValueError),
    "PixelData, four dimensions": (lambda: PixelData(a=torch.ones(1, 1, 1, 1)), ValueError),
}


@pytest.mark.parametrize(("call", "kind"), CALLS.values(), ids=CALLS)
def test_usage_errors_are_assertion_errors_too(call, kind):
    with pytest.raises(AssertionError, match=r"\w+ \w+") as caught:
        call()
    assert isinstance(caught.value, kind)


def test_other_kinds_of_the_reference():
    with pytest.raises(NotImplementedError, match="device should be one of .* got 'tpu'"):
        dist.collect_results([1], 1, device="tpu")
    with pytest.raises(ValueError, match="there is no process group yet"):
        dist.init_local_group(0, 1)
    with pytest.raises(RuntimeError, match="equal dimensions and channels"):
        model.stack_batch([torch.ones(1, 2, 2), torch.ones(3, 2, 2)])
