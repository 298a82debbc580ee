from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from strategies_parts import Line

from eng.compat.strategies import (
    BaseStrategy,
    ColossalAIStrategy,
    DDPStrategy,
    FSDPStrategy,
    SingleDeviceStrategy,
)


class Normed(Line):
    """With normalisation over all ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.SyncBatchNorm(1))


@pytest.fixture
def one_rank() -> Iterator[None]:
    """A process group of this process alone."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("kind", "settings", "wrapper", "is_folder"),
    [
        (DDPStrategy, {}, "MMDistributedDataParallel", False),
        (FSDPStrategy, {}, "MMFullyShardedDataParallel", True),
        (FSDPStrategy, {"state_dict_cfg": "full"}, "MMFullyShardedDataParallel", False),
        (FSDPStrategy, {"state_dict_cfg": {"state_dict_type": "FULL_STATE_DICT"}}, "MMFullyShardedDataParallel", False),
    ],
    ids=["ddp", "fsdp", "fsdp in one file", "fsdp by the name of the type"],
)
@pytest.mark.filterwarnings("ignore:`broadcast_buffers`:FutureWarning")
def test_kinds_of_several_ranks_save_and_resume(tmp_path: Path, one_rank, kind, settings, wrapper, is_folder) -> None:
    def begin() -> DDPStrategy:
        strategy = kind(work_dir=str(tmp_path), env_kwargs={"randomness": {"seed": 1}}, **settings)
        strategy.prepare(Line(), optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}})
        return strategy

    first = begin()
    assert type(first.model).__name__ == wrapper
    start = {name: whole(value).clone() for name, value in first.model_state_dict().items()}
    x = torch.linspace(0, 1, 4)[:, None]
    first.model.train_step({"x": x, "y": 3 * x}, first.optim_wrapper)
    first.save_checkpoint(str(tmp_path / "one.pth"))
    assert (tmp_path / "one.pth").is_dir() is is_folder
    second = begin()
    second.resume(str(tmp_path / "one.pth"))
    for name, value in first.model_state_dict().items():
        assert not torch.equal(whole(value), start[name])
        torch.testing.assert_close(whole(second.model_state_dict()[name]), whole(value), rtol=0, atol=0)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def test_one_device_normalises_over_no_ranks(tmp_path: Path) -> None:
    model = SingleDeviceStrategy(work_dir=str(tmp_path)).prepare(Normed())
    assert not any(isinstance(part, torch.nn.SyncBatchNorm) for part in model.modules())
    x = torch.linspace(0, 1, 4)[:, None]
    assert torch.isfinite(model(x, 3 * x)["loss"])


def test_the_kinds_derive_from_each_other_as_in_the_reference() -> None:
    assert [issubclass(FSDPStrategy, kind) for kind in (DDPStrategy, SingleDeviceStrategy, BaseStrategy)] == [True] * 3


def test_colossalai_says_what_takes_its_place() -> None:
    with pytest.raises(ValueError, match="FSDP2"):
        ColossalAIStrategy()
