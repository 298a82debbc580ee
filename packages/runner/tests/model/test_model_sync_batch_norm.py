from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn

from eng.model import convert_sync_batchnorm, revert_sync_batchnorm
from eng.model._sync_batch_norm import CpuSyncBatchNorm, let_cpus_synchronise


@pytest.fixture
def alone() -> Iterator[None]:
    """A process group of this process only; tests over ranks are in the repository's tests/distributed."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize(
    ("plain", "shape"),
    [
        (nn.BatchNorm1d(3), (5, 3)),
        (nn.BatchNorm2d(3, momentum=None), (4, 3, 2, 2)),
        (nn.BatchNorm3d(3, affine=False), (2, 3, 2, 1, 2)),
        (nn.BatchNorm1d(3, track_running_stats=False), (5, 3, 2)),
    ],
    ids=["plain", "cumulative", "not-affine", "not-tracked"],
)
def test_on_one_rank_it_is_batch_norm(alone: None, plain: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    for parameter in plain.parameters():
        nn.init.normal_(parameter)
    sync = let_cpus_synchronise(nn.SyncBatchNorm(3, plain.eps, plain.momentum, plain.affine, plain.track_running_stats))
    sync.load_state_dict(plain.state_dict())
    assert list(sync.state_dict()) == list(plain.state_dict())
    for _ in range(2):
        ours, theirs = (torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in "ab")
        sync(ours).square().mul(torch.arange(3.0).view(1, 3, *[1] * (len(shape) - 2))).sum().backward()
        plain(theirs).square().mul(torch.arange(3.0).view(1, 3, *[1] * (len(shape) - 2))).sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(sync.state_dict()[name], value, msg=name)
    torch.testing.assert_close(sync.eval()(ours), plain.eval()(theirs))


def test_the_layers_of_a_model_are_exchanged_and_reverted(alone: None) -> None:
    model = let_cpus_synchronise(convert_sync_batchnorm(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))))
    assert type(model[1]) is CpuSyncBatchNorm
    model(torch.ones(3, 2)).sum().backward()
    assert not isinstance(revert_sync_batchnorm(model)[1], CpuSyncBatchNorm)


def test_inputs_without_channels_are_refused(alone: None) -> None:
    with pytest.raises(ValueError, match=r"shape \(N, C, ...\), got \(3,\)"):
        CpuSyncBatchNorm(3)(torch.ones(3))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_all_floating_types_train(alone: None, dtype: torch.dtype) -> None:
    inputs = torch.randn(64, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    plain = nn.BatchNorm1d(3).double()
    sync = let_cpus_synchronise(nn.SyncBatchNorm(3))
    # torch's layers take half precision with weights in float32, and double precision with weights in float64.
    sync = sync.double() if dtype is torch.float64 else sync
    outputs = sync(inputs)
    assert outputs.dtype == dtype
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}[dtype]
    torch.testing.assert_close(outputs.double(), plain(inputs.double()), rtol=tolerance, atol=tolerance)
    outputs.sum().backward()
    assert sync.weight.grad.dtype == sync.weight.dtype
