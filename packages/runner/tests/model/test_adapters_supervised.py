"""A plain module trains as a hand-written loop does, and its checkpoints are those of the module."""

from __future__ import annotations

import pytest
import torch
from adapters_parts import Net
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from eng.checkpoint.unwrap import model_name
from eng.model import ExponentialMovingAverage, SupervisedModel
from eng.model.errors import BatchTypeError, ModelTypeError
from eng.runner import Runner


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(16, 2, generator=generator), torch.randint(0, 3, (16,), generator=generator))


def test_messages_call_a_plain_module_by_its_own_class(tmp_path) -> None:
    runner = runner_for(tmp_path, 1)
    assert runner.model_name == "Net"
    assert model_name(runner.model) == model_name(nn.DataParallel(runner.model)) == "Net"
    with pytest.raises(ValueError, match=r"activation_checkpointing names 'bakbone', which Net lacks"):
        runner_for(tmp_path, 1, activation_checkpointing=["bakbone"])


def trained_by_hand(epochs: int) -> nn.Module:
    torch.manual_seed(5)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(epochs):
        for x, y in DataLoader(data(), batch_size=4):
            optimizer.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    return net


def runner_for(work_dir, epochs: int, **kwargs) -> Runner:
    torch.manual_seed(5)
    kwargs = {"model": Net(), "loss": dict(type="CrossEntropyLoss"), **kwargs}
    return Runner(
        work_dir=str(work_dir),
        train_dataloader=DataLoader(data(), batch_size=4),
        train_cfg=dict(max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9)),
        log_level="ERROR",
        **kwargs,
    )


@pytest.mark.parametrize(
    "loss",
    [dict(type="CrossEntropyLoss"), "CrossEntropyLoss", nn.CrossEntropyLoss(), nn.CrossEntropyLoss,
     functional.cross_entropy, "torch.nn.functional.cross_entropy", lambda output, y: functional.nll_loss(
         output.log_softmax(1), y)],
    ids=["config", "name", "module", "class", "function", "path", "lambda"],
)  # fmt: skip
def test_equals_a_hand_written_loop(loss, tmp_path) -> None:
    runner = runner_for(tmp_path, 2, loss=loss)
    runner.train()
    expected = trained_by_hand(2).state_dict()
    assert list(runner.model.state_dict()) == list(expected)
    for name, value in runner.model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-6)


def test_resumes_with_the_same_bits_and_a_checkpoint_of_the_module(tmp_path) -> None:
    straight = runner_for(tmp_path / "a", 3)
    straight.train()
    first = runner_for(tmp_path / "b", 2)
    first.train()
    Net().load_state_dict(torch.load(tmp_path / "b/epoch_2.pth", weights_only=False)["state_dict"])
    resumed = runner_for(tmp_path / "b", 3, resume=True)
    resumed.train()
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_weights_of_the_module_are_loaded_whole(tmp_path) -> None:
    torch.manual_seed(9)
    net = Net()
    torch.save(net.state_dict(), tmp_path / "net.pth")
    runner = runner_for(tmp_path, 1)
    from eng.checkpoint import load_checkpoint

    reports = []
    load_checkpoint(runner.model, str(tmp_path / "net.pth"), strict=True, on_report=reports.append)
    assert reports[0].share == 1.0
    assert torch.equal(runner.model.network.head.weight, net.head.weight)
    average = ExponentialMovingAverage(runner.model)
    assert "module.head.weight" in average.state_dict()
    average.load_state_dict(average.state_dict())


def test_a_loss_with_parameters_is_saved_beside_the_network() -> None:
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.0))

        def forward(self, output, target):
            return (self.scale * output - target).square().mean()

    model, copy = (SupervisedModel(nn.Linear(1, 1), loss=Scaled()) for _ in range(2))
    assert set(model.state_dict()) == {"weight", "bias", "loss_function.scale"}
    with torch.no_grad():
        model.loss_function.scale.fill_(3.0)
    copy.load_state_dict(model.state_dict())
    assert copy.loss_function.scale.item() == 3.0


def test_no_such_output() -> None:
    model = SupervisedModel(nn.Linear(1, 1), loss="MSELoss", output="mask")
    with pytest.raises(ModelTypeError, match="output='mask': the network returned no such output"):
        model(batch=(torch.ones(1, 1), torch.ones(1, 1)), mode="loss")


def test_a_loss_without_a_target() -> None:
    with pytest.raises(BatchTypeError, match=r"the loss of Net needs a target.*\['x'\].*targets="):
        SupervisedModel(Net(), loss="CrossEntropyLoss")(batch={"x": torch.ones(2, 2)}, mode="loss")


def test_a_loss_that_is_none() -> None:
    with pytest.raises(ModelTypeError, match=r"loss must be a callable, a name or a config .*, got int"):
        SupervisedModel(Net(), loss=3)


def test_from_python_the_wrapped_module_is_called_as_before(tmp_path) -> None:
    model = runner_for(tmp_path, 1).model
    x = torch.ones(2, 2)
    model.eval()
    assert torch.equal(model(x), model.network(x))
