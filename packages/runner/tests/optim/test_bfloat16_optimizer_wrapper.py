"""Updates of bfloat16 weights that a rounding to nearest would lose."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.model import BaseModel
from eng.optim import BFloat16OptimWrapper
from eng.optim.errors import OptimError
from eng.optim.optimizer.bfloat16_optimizer_wrapper import _round_at_random
from eng.runner import Runner

STEPS = 64


def weight_after(steps: int, **settings) -> torch.Tensor:
    """Ones after steps of 1/1024 each, an eighth of the distance to the next bfloat16 below one times two."""
    weight = nn.Parameter(torch.ones(4096, dtype=torch.bfloat16))
    wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD([weight], lr=1 / 1024), **settings)
    for _ in range(steps):
        wrapper.update_params(weight.float().sum())
    assert weight.dtype is torch.bfloat16 and weight.grad is None
    return weight.detach().float()


def test_small_steps_add_up() -> None:
    lost = torch.ones(1, dtype=torch.bfloat16)
    for _ in range(STEPS):
        lost -= torch.full((1,), 1 / 1024, dtype=torch.bfloat16)
    assert lost.item() == 1  # what rounding to nearest makes of it
    expected = 1 - STEPS / 1024
    assert torch.equal(weight_after(STEPS, update="master"), torch.full((4096,), expected))
    at_random = weight_after(STEPS, update="stochastic")
    assert abs(at_random.mean().item() - expected) < 1e-3 and at_random.std() > 0
    assert torch.equal(at_random, weight_after(STEPS))
    assert not torch.equal(at_random, weight_after(STEPS, seed=1))


def test_random_rounding_has_the_value_as_its_mean_and_moves_no_bfloat16() -> None:
    generator = torch.Generator().manual_seed(0)
    # Between 1 and 1 + 1/128, a quarter of the way.
    rounded = _round_at_random(torch.full((100_000,), 1 + 1 / 512), generator)
    assert rounded.unique().tolist() == [1.0, 1.0078125]
    assert abs((rounded > 1).float().mean().item() - 0.25) < 0.01
    exact = torch.tensor([0.0, -0.0, 1.5, -3.0, float("inf"), float("-inf"), float("nan")])
    torch.testing.assert_close(_round_at_random(exact, generator).float(), exact, rtol=0, atol=0, equal_nan=True)
    below = _round_at_random(torch.full((100_000,), -(1 + 1 / 512)), generator)
    assert abs((below < -1).float().mean().item() - 0.25) < 0.01


class Regression(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 1))

    def forward(self, x: torch.Tensor, y: torch.Tensor, mode: str = "tensor"):
        output = self.net(x)
        return {"loss": (output.float() - y).square().mean()} if mode == "loss" else output


def train(work_dir, epochs: int, wrapper: dict, **settings) -> tuple[nn.Module, list[float]]:
    torch.manual_seed(0)
    x = torch.randn(64, 4)
    runner = Runner(
        Regression(), str(work_dir), DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8),
        train_cfg=dict(max_epochs=epochs), optim_wrapper={"optimizer": dict(type="AdamW", lr=1e-3), **wrapper},
        randomness=dict(seed=0), log_level="ERROR", **settings,
    )  # fmt: skip
    runner.train()
    return runner.model, [float(loss) for loss in runner.message_hub.get_scalar("train/loss").data[0]]


@pytest.mark.parametrize("update", ["stochastic", "master"])
def test_a_run_in_bfloat16_learns_as_one_in_float32_and_resumes_with_its_bits(tmp_path, update) -> None:
    _, plain = train(tmp_path / "float32", 6, {})
    settings = dict(precision=dict(weights="bfloat16"))
    wrapper = dict(type="BFloat16OptimWrapper", update=update)
    model, losses = train(tmp_path / "through", 6, wrapper, **settings)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8]) and abs(sum(losses[-8:]) / sum(plain[-8:]) - 1) < 0.05
    train(tmp_path / "resumed", 3, wrapper, **settings)
    resumed, _ = train(tmp_path / "resumed", 6, wrapper, resume=True, **settings)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), resumed.parameters(), strict=True))
    state = torch.load(tmp_path / "through" / "epoch_6.pth", weights_only=False)["optimizer"]
    assert ("master_weights" in state) == (update == "master")
    assert {moments["exp_avg"].dtype for moments in state["state"].values()} == {torch.float32}


@pytest.mark.parametrize("write", [nn.init.constant_, lambda weight, value: weight.data.fill_(value)])
def test_weights_that_somebody_else_wrote_have_no_master(write) -> None:
    weight = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD([weight], lr=1 / 1024), update="master")
    wrapper.update_params(weight.float().sum())
    write(weight, 2)
    wrapper.update_params(weight.float().sum())
    (master,) = wrapper.state_dict()["master_weights"].values()
    assert torch.equal(master, torch.full((4,), 2 - 1 / 1024))


@pytest.mark.parametrize("update", ["stochastic", "master"])
def test_a_state_is_loaded_by_name_with_its_float32_moments(update) -> None:
    def named(order: str) -> tuple[nn.ParameterDict, BFloat16OptimWrapper]:
        model = nn.ParameterDict({name: torch.ones(1, dtype=torch.bfloat16) for name in order})
        wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), 1e-4, momentum=0.9), update=update)
        wrapper.name_parameters(model)
        return model, wrapper

    model, wrapper = named("ab")
    for slope in (1.0, 1 / 256):
        wrapper.update_params(slope * model["a"].sum() + 3 * slope * model["b"].sum())
    other, resumed = named("ba")
    resumed.load_state_dict(wrapper.state_dict())
    moments = {name: resumed.optimizer.state[other[name]]["momentum_buffer"] for name in "ab"}
    first = torch.tensor([0.9]) + 1 / 256  # bfloat16 has no such value
    torch.testing.assert_close(moments, {"a": first, "b": 3 * first})


class Hoarder(torch.optim.SGD):
    """Steps weights of its own list."""

    def __init__(self, weights) -> None:
        self.weights = list(weights)
        super().__init__(weights, lr=1)

    def step(self, closure=None) -> None:
        with torch.no_grad():
            for weight in self.weights:
                weight.sub_(weight.grad)


def test_an_optimizer_that_steps_the_bfloat16_weights_is_named() -> None:
    weight = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    wrapper = BFloat16OptimWrapper(optimizer=Hoarder([weight]))
    with pytest.raises(OptimError, match="and Hoarder wrote the bfloat16 ones"):
        wrapper.update_params(weight.float().sum())


@pytest.mark.parametrize(
    ("dtype", "settings", "message"),
    [
        (torch.float32, {}, r"no weight is bfloat16: set precision=dict\(weights='bfloat16'\)"),
        (torch.bfloat16, dict(update="nearest"), "update must be 'stochastic' or 'master', got 'nearest'"),
    ],
)
def test_what_cannot_work_is_refused(dtype, settings, message) -> None:
    with pytest.raises(OptimError, match=message):
        BFloat16OptimWrapper(optimizer=torch.optim.SGD([nn.Parameter(torch.ones(1, dtype=dtype))], lr=1), **settings)
