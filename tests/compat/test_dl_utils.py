from __future__ import annotations

import logging
import multiprocessing

import numpy as np
import pytest
import torch
from torch import nn

from eng.compat.utils import dl_utils
from eng.compat.utils.dl_utils import parrots_wrapper


@pytest.fixture(autouse=True)
def start_method_is_kept():
    before = multiprocessing.get_start_method(allow_none=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def test_norms_are_told_from_other_layers() -> None:
    norms = [nn.BatchNorm1d(2), nn.InstanceNorm2d(2), nn.GroupNorm(1, 2), nn.LayerNorm(2), nn.SyncBatchNorm(2)]
    assert all(map(dl_utils.is_norm, norms))
    assert not dl_utils.is_norm(nn.Conv2d(1, 1, 1))
    assert not dl_utils.is_norm(norms[0], exclude=(parrots_wrapper._BatchNorm,))
    with pytest.raises(TypeError, match="class or a tuple of classes"):
        dl_utils.is_norm(norms[0], exclude="BatchNorm")
    assert dl_utils.has_batch_norm(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)))
    assert not dl_utils.has_batch_norm(nn.Sequential(nn.LayerNorm(1)))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("_BatchNorm", nn.BatchNorm3d(1)), ("_InstanceNorm", nn.InstanceNorm1d(1)), ("_ConvNd", nn.Conv1d(1, 1, 1)),
        ("_ConvTransposeMixin", nn.ConvTranspose1d(1, 1, 1)), ("_MaxPoolNd", nn.MaxPool1d(1)), ("_AvgPoolNd", nn.AvgPool3d(1)),
        ("_AdaptiveMaxPoolNd", nn.AdaptiveMaxPool1d(1)), ("_AdaptiveAvgPoolNd", nn.AdaptiveAvgPool3d(1)),
    ],
)  # fmt: skip
def test_common_bases_of_layers(name, layer) -> None:
    assert isinstance(layer, getattr(parrots_wrapper, name))
    assert getattr(parrots_wrapper, name).__name__.startswith(name.removesuffix("Mixin"))


def test_images_of_a_batch() -> None:
    batch = torch.zeros(2, 3, 4, 5)
    batch[:, 0] = 1.0
    images = dl_utils.tensor2imgs(batch, mean=(10, 20, 30), std=(5, 5, 5), to_bgr=True)
    assert len(images) == 2
    assert images[0].shape == (4, 5, 3)
    assert images[0][0, 0].tolist() == [30, 20, 15]
    assert dl_utils.tensor2imgs(torch.full((1, 1, 2, 2), 7.0), to_bgr=False)[0].dtype == np.float32
    with pytest.raises(ValueError, match="expected a batch"):
        dl_utils.tensor2imgs(torch.zeros(3, 4, 5))
    with pytest.raises(ValueError, match="3 numbers each"):
        dl_utils.tensor2imgs(batch, mean=(1, 2))


def test_time_counter(capsys, caplog) -> None:
    @dl_utils.TimeCounter(log_interval=2, warmup_interval=2)
    def counted():
        return 5

    assert [counted() for _ in range(4)] == [5] * 4
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ms")[0].rpartition(":")[0] for line in lines] == [
        "[counted]-mean of 1 runs", "[counted]-mean of 3 runs",
    ]  # fmt: skip
    with caplog.at_level(logging.INFO), dl_utils.TimeCounter(tag="a block", logger=logging.getLogger("blocks")):
        pass
    assert "[a block]-mean of" in caplog.text
    with pytest.raises(ValueError, match="give a tag"), dl_utils.TimeCounter():
        pass


def test_environment_report_has_the_old_keys() -> None:
    env = dl_utils.collect_env()
    assert list(env)[:4] == ["sys.platform", "Python", "CUDA available", "MUSA available"]
    assert env["PyTorch"] == torch.__version__
    assert env["MMEngine"] == "0.10.7"


def test_workers_and_small_ones(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    multiprocessing.set_start_method("fork", force=True)
    with pytest.warns(UserWarning, match="'spawn' now"):
        dl_utils.set_multi_processing("spawn", distributed=True)
    assert multiprocessing.get_start_method() == "spawn"
    assert __import__("os").environ["OMP_NUM_THREADS"] == "1"
    rows, columns = dl_utils.torch_meshgrid(torch.arange(2), torch.arange(3))
    assert (rows[1, 2], columns[1, 2]) == (1, 2)
    assert not dl_utils.is_jit_tracing()
    assert isinstance(dl_utils.mmcv_full_available(), bool)
    assert torch.__version__ == dl_utils.TORCH_VERSION
    assert not parrots_wrapper.is_rocm_pytorch()
    assert "PyTorch built with" in parrots_wrapper.get_build_config()
