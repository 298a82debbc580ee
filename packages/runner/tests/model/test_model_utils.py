from __future__ import annotations

import copy

import pytest
import torch
from torch import fx, nn

from eng.model import convert_sync_batchnorm, detect_anomalous_params, merge_dict, revert_sync_batchnorm, stack_batch


@pytest.mark.parametrize(
    "sizes", [[(3, 4, 5)], [(3, 4, 5), (3, 6, 2)], [(1, 2), (1, 7)], [(2, 2, 3, 4), (2, 5, 1, 1)]], ids=str
)
@pytest.mark.parametrize("divisor", [1, 4])
def test_stack_batch_pads_at_the_end(sizes, divisor):
    tensors = [torch.randn(size) for size in sizes]
    batch = stack_batch(tensors, divisor, pad_value=9)
    target = [sizes[0][0]] + [-(-max(column) // divisor) * divisor for column in list(zip(*sizes))[1:]]
    assert list(batch.shape) == [len(sizes), *target]
    for row, tensor in zip(batch, tensors):
        region = tuple(slice(0, size) for size in tensor.shape)
        assert torch.equal(row[region], tensor)
        assert (row == 9).sum() == row.numel() - tensor.numel()


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        ([], ValueError, "no tensor"),
        (3, TypeError, "list of tensors, got int"),
        ([torch.ones(3, 2, 2), torch.ones(1, 2, 2)], ValueError, r"\(3, 2, 2\), \(1, 2, 2\)"),
        ([torch.ones(3, 2), torch.ones(3, 2, 2)], ValueError, "equal dimensions"),
    ],
    ids=["empty", "number", "channels", "dims"],
)
def test_stack_batch_errors(value, error, match):
    with pytest.raises(error, match=match):
        stack_batch(value)


def test_stack_batch_takes_no_divisor_below_one():
    with pytest.raises(ValueError, match="pad_size_divisor must be 1 or more, got 0"):
        stack_batch([torch.ones(3, 2, 2)], pad_size_divisor=0)


def test_merge_dict_can_be_traced():
    class Merge(nn.Module):
        def forward(self, x):
            return merge_dict({"a": x}, {"b": x + 1, "a": x + 2})

    out = fx.symbolic_trace(Merge())(torch.tensor(1))
    assert (out["a"], out["b"]) == (3, 2)


def test_parameters_outside_the_loss_are_logged(caplog):
    model = nn.ModuleDict(
        {"used": nn.Linear(1, 1), "unused": nn.Linear(1, 2), "frozen": nn.Linear(1, 1).requires_grad_(False)}
    )
    loss = model["used"](torch.ones(1, 1))
    for _ in range(2000):  # deeper than Python may recurse
        loss = loss + 0.001
    detect_anomalous_params(loss.sum(), model)
    assert [record.message for record in caplog.records] == [
        "unused.weight (2, 1) takes no part in the loss: no gradient can reach it",
        "unused.bias (2,) takes no part in the loss: no gradient can reach it",
    ]


def test_sync_batchnorm_there_and_back_keeps_state():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 1),
        nn.ModuleDict({"norm": nn.BatchNorm2d(2)})["norm"],
        nn.Sequential(nn.BatchNorm2d(2, affine=False)),
    )
    model(torch.rand(3, 1, 4, 4))
    model.eval()
    x = torch.rand(2, 1, 4, 4)
    expected, state = model(x), copy.deepcopy(model.state_dict())
    synced = convert_sync_batchnorm(model)
    assert isinstance(synced[1], nn.SyncBatchNorm) and isinstance(synced[2][0], nn.SyncBatchNorm)
    plain = revert_sync_batchnorm(synced)
    assert not any(isinstance(part, nn.SyncBatchNorm) for part in plain.modules())
    assert torch.equal(plain(x), expected) and not plain[1].training
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())


def test_revert_gives_back_a_layer_for_a_layer_and_keeps_its_parameters():
    norm = nn.SyncBatchNorm(3)
    plain = revert_sync_batchnorm(norm)
    assert plain.weight is norm.weight and plain(torch.rand(2, 3)).shape == (2, 3)
    assert revert_sync_batchnorm(linear := nn.Linear(1, 1)) is linear


def test_convert_names_its_implementations():
    with pytest.raises(ValueError, match="sync_bn should be 'torch' or 'mmcv', but got 'x'"):
        convert_sync_batchnorm(nn.Linear(1, 1), "x")
    with pytest.raises(ImportError, match="needs mmcv"):
        convert_sync_batchnorm(nn.BatchNorm1d(1), "mmcv")
