"""Parts of users that derive from no class of eng, and that answer truth and length in ways of their own."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from eng.optim import OptimWrapper
from eng.registry import OPTIM_WRAPPER_CONSTRUCTORS
from eng.runner import EpochBasedTrainLoop
from eng.runner.errors import ResumeError
from eng.runner.state.differences import check_optimizers


class StreamWithoutLength(IterableDataset):
    def __iter__(self):
        for x in torch.linspace(0, 1, 8)[:, None]:
            yield x, 3 * x

    def __len__(self):
        raise TypeError("the length is not known")


class Loader:
    """A loader of another library that leaves its number of workers open."""

    num_workers = None

    def __iter__(self):
        return iter([(torch.ones(2, 1), torch.ones(2, 1))] * 3)

    def __len__(self):
        return 3


class EpochsLeft(EpochBasedTrainLoop):
    """Its length, the epochs that are left, is 0 at the end."""

    def __len__(self):
        return self._max_epochs - self._epoch


def test_a_stream_whose_length_raises_is_trained_on(make_runner, heard) -> None:
    runner = make_runner(train_dataloader=DataLoader(StreamWithoutLength(), batch_size=2))
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 8)
    assert "The training dataloader over StreamWithoutLength has no length" in heard.text


def test_a_loader_whose_num_workers_is_none(make_runner) -> None:
    runner = make_runner(train_dataloader=Loader())
    runner.train()
    assert runner.iter == 6


def test_the_counters_of_a_loop_that_is_false_at_its_end(make_runner) -> None:
    runner = make_runner(train_cfg=dict(type=EpochsLeft, max_epochs=2))
    runner.train()
    assert not runner.train_loop
    assert (runner.epoch, runner.iter, runner.max_epochs, runner.max_iters) == (2, 8, 2, 8)


class Wrapper:
    """An optimizer wrapper that derives from none of eng's."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    param_groups = property(lambda self: self.optimizer.param_groups)

    def update_params(self, loss, **options):
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    @contextmanager
    def optim_context(self, model):
        yield

    def state_dict(self):
        return self.optimizer.state_dict()

    def load_state_dict(self, state):
        self.optimizer.load_state_dict(state)

    def get_lr(self):
        return {"lr": [group["lr"] for group in self.param_groups]}

    def get_momentum(self):
        return {"momentum": [group["momentum"] for group in self.param_groups]}

    def initialize_count_status(self, *arguments):
        pass


@pytest.fixture
def constructor():
    class WrapperForTest:
        def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
            pass

        def __call__(self, model):
            return Wrapper(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))

    OPTIM_WRAPPER_CONSTRUCTORS.register_module(module=WrapperForTest)
    yield "WrapperForTest"
    del OPTIM_WRAPPER_CONSTRUCTORS.module_dict["WrapperForTest"]


def test_a_run_with_a_wrapper_of_a_user_names_its_optimizer_and_resumes(make_runner, constructor, tmp_path) -> None:
    config = dict(constructor=constructor, optimizer=dict(type="SGD", lr=0.1))
    for epochs in (1, 2):
        runner = make_runner(train_cfg=dict(max_epochs=epochs), optim_wrapper=dict(config), resume=epochs > 1)
        runner.train()
    assert runner.iter == 8
    saved = torch.load(tmp_path / "run/epoch_1.pth")
    assert saved["run_state"]["optimizers"] == {"": "SGD"}


class OptimizerWithoutDefaults:
    def __init__(self, parameters):
        self.param_groups = [{"params": list(parameters), "lr": 0.1}]

    def step(self):
        pass


@pytest.mark.parametrize("group", [{"lr": 0.1}, {"lr": 0.1, "betas": (0.9, 0.99)}], ids=["plain", "betas"])
def test_an_optimizer_without_defaults_is_not_told_from_others_by_them(group) -> None:
    parameters = torch.nn.Linear(1, 1).parameters()
    saved = {"state": {}, "param_groups": [{**group, "params": [0, 1]}]}
    check_optimizers(OptimWrapper(OptimizerWithoutDefaults(parameters)), saved, None)
    with pytest.raises(ResumeError, match="OptimizerWithoutDefaults"):
        check_optimizers(OptimWrapper(OptimizerWithoutDefaults(parameters)), saved, {"": "SGD"})
