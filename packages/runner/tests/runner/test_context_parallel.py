"""Which part of a batch a rank gets that shares its sequences, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from eng.model import BaseModel, SupervisedModel
from eng.runner.errors import SettingsError
from eng.runner.strategy.context_parallel import ContextParallelModel, ContextSettings, read_context, split_batch


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(8, 4)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.embed(input_ids)


class Numbered(Reader):
    @property
    def loss_function(self) -> Any:
        """As a causal language model of transformers has it."""

        def ForCausalLMLoss() -> None:  # the name in transformers
            pass

        return ForCausalLMLoss

    def forward(self, input_ids: torch.Tensor, position_ids: Any = None, labels: Any = None) -> torch.Tensor:
        return self.embed(input_ids)


class Plain(BaseModel):
    def forward(self, input_ids: Any, mode: str = "tensor") -> dict[str, torch.Tensor]:
        return {"loss": input_ids.float().mean().requires_grad_()}


class Optim:
    def optim_context(self, model: nn.Module) -> Any:
        return torch.enable_grad()

    def update_params(self, loss: torch.Tensor, **options: Any) -> None:
        loss.backward()


@pytest.fixture
def batch() -> dict[str, Any]:
    return {
        "input_ids": torch.arange(16).reshape(2, 8),
        "labels": torch.arange(16).reshape(2, 8) + 1,
        "name": ["a", "b"],
    }


@pytest.fixture
def alone(tmp_path: Any) -> Any:
    """A process group of one rank."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield torch.distributed.group.WORLD
    torch.distributed.destroy_process_group()


def test_usual_keys_are_split_and_positions_count_in_the_whole_sequence(batch: dict[str, Any]) -> None:
    part = split_batch(batch, read_context(2), 1)
    assert part["input_ids"].tolist() == [[4, 5, 6, 7], [12, 13, 14, 15]]
    assert part["labels"].tolist() == [[5, 6, 7, 8], [13, 14, 15, 16]]
    assert part["position_ids"].tolist() == [[4, 5, 6, 7]] * 2
    assert part["name"] == ["a", "b"]
    assert "position_ids" not in batch


def test_keys_and_dimensions_of_the_user_are_split_alone(batch: dict[str, Any]) -> None:
    mask = torch.ones(2, 1, 8, 8).tril()
    settings = read_context({"size": 4, "inputs": {"input_ids": 1, "mask": 2}, "positions": "places"})
    part = split_batch({**batch, "mask": mask}, settings, 2)
    assert part["input_ids"].tolist() == [[4, 5], [12, 13]]
    assert part["mask"].equal(mask[:, :, 4:6])
    assert part["labels"] is batch["labels"]
    assert part["places"].tolist() == [[4, 5]] * 2


def test_positions_of_the_batch_are_split_and_none_are_made_where_none_are_wanted(batch: dict[str, Any]) -> None:
    backwards = torch.arange(7, -1, -1).expand(2, 8)
    part = split_batch({**batch, "position_ids": backwards}, read_context(2), 1)
    assert part["position_ids"].tolist() == [[3, 2, 1, 0]] * 2
    part = split_batch(batch, read_context({"size": 2, "positions": None}), 1)
    assert list(part) == ["input_ids", "labels", "name"]
    first = split_batch({"x": torch.arange(6)[:, None]}, ContextSettings(2, {"x": 0}), 1)
    assert first["position_ids"].tolist() == [3, 4, 5]


@pytest.mark.parametrize(
    ("change", "inputs", "message"),
    [
        (
            {"labels": torch.ones(2, 7)},
            None,
            "'labels' has 7 positions in dimension 1, which 2 ranks cannot share evenly",
        ),
        ({}, {"input_ids": 1, "mask": 1}, "lacks 'mask'; name the keys that hold sequences: context=dict"),
        ({"input_ids": [torch.ones(8)]}, None, "splits dimension 1 of 'input_ids', which is list: give a tensor"),
        ({}, {"labels": 2}, r"splits dimension 2 of 'labels', which is \(2, 8\)"),
    ],
    ids=["length", "missing", "list", "dimension"],
)
def test_a_batch_that_cannot_be_split_names_key_length_and_size(
    batch: dict[str, Any], change: dict[str, Any], inputs: Any, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        split_batch({**batch, **change}, ContextSettings(2, inputs), 0)


def test_a_batch_without_the_usual_keys_says_how_to_name_them() -> None:
    with pytest.raises(SettingsError, match="the batch has the keys 'x' and lacks 'input_ids', 'labels'"):
        split_batch({"x": torch.ones(2, 8)}, read_context(2), 0)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (0, "size is a number above 0, got 0"),
        ("2", "size is a number above 0, got '2'"),
        ({"inputs": {"x": 1}}, r"of which size is needed, got \['inputs'\]"),
        ({"size": 2, "keys": {}}, r"takes the keys size, inputs, positions, .* got \['keys', 'size'\]"),
        ({"size": 2, "inputs": ["x"]}, r"inputs names keys of a batch .* got \['x'\]"),
        ({"size": 2, "inputs": {"x": "1"}}, "inputs names keys of a batch"),
    ],
    ids=["zero", "text", "no size", "unknown", "list", "dimension"],
)
def test_settings_of_another_form_are_refused(context: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_context(context)


def wrapped(model: nn.Module, group: Any, context: Any = 1) -> ContextParallelModel:
    return ContextParallelModel(model, context=read_context(context), context_group=group)


def test_a_model_that_would_count_its_positions_itself_is_refused(alone: Any, batch: dict[str, Any]) -> None:
    del batch["labels"], batch["name"]
    with pytest.raises(
        SettingsError, match="sequence, and Plain.forward takes no 'position_ids': add it, name another"
    ):
        wrapped(Plain(), alone).train_step(batch, Optim())
    supervised = SupervisedModel(Reader(), loss=lambda output: output.mean())
    with pytest.raises(SettingsError, match="Reader.forward takes no 'position_ids'"):
        wrapped(supervised, alone).train_step(batch, Optim())
    chosen = SupervisedModel(Numbered(), loss=lambda output: output.mean(), inputs=["input_ids"])
    with pytest.raises(SettingsError, match=r"add 'position_ids' to inputs=\['input_ids'\] of the model"):
        wrapped(chosen, alone).train_step(batch, Optim())


def test_a_model_that_moves_labels_inside_its_part_is_refused(alone: Any, batch: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="moves `labels` inside this rank's part of the sequence"):
        wrapped(SupervisedModel(Numbered()), alone).train_step(batch, Optim())


def test_a_step_without_attention_that_is_reached_is_refused(alone: Any, batch: dict[str, Any]) -> None:
    model = wrapped(Plain(), alone, {"size": 1, "inputs": {"input_ids": 1}, "positions": None})
    with pytest.raises(SettingsError, match=r"a training step of Plain called no torch\.nn\.functional\.scaled_dot"):
        model.train_step({"input_ids": batch["input_ids"]}, Optim())


class Forgetful(Plain):
    """Attends in its first step only."""

    attends = True

    def forward(self, input_ids: Any, mode: str = "tensor") -> dict[str, torch.Tensor]:
        x = input_ids.float()[None, ..., None].requires_grad_()
        if self.attends:
            x = nn.functional.scaled_dot_product_attention(x, x, x)
        self.attends = False
        return {"loss": x.mean()}


def test_a_later_step_without_attention_is_refused(alone: Any, batch: dict[str, Any]) -> None:
    model = wrapped(Forgetful(), alone, {"size": 1, "inputs": {"input_ids": 1}, "positions": None})
    model.train_step({"input_ids": batch["input_ids"]}, Optim())
    with pytest.raises(SettingsError, match="a training step of Forgetful called no"):
        model.train_step({"input_ids": batch["input_ids"]}, Optim())


def test_a_batch_without_keys_is_refused(alone: Any) -> None:
    with pytest.raises(SettingsError, match="splits batches that are mappings, by key; .* gave a list"):
        wrapped(Plain(), alone).train_step([torch.ones(2, 8)], Optim())
