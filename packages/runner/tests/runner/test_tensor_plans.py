"""Which layers a plan of tensor parallelism splits, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from eng.runner.errors import SettingsError
from eng.runner.strategy.tensor_plans import read_plan


class Mlp(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, 16), nn.Linear(16, width)


class Attention(nn.Module):
    """The names of transformers' Qwen 3."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(8, 8))
        self.q_norm, self.k_norm = nn.RMSNorm(4), nn.RMSNorm(4)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = Attention(), nn.Module()
        self.mlp.gate_proj, self.mlp.up_proj, self.mlp.down_proj = (nn.Linear(8, 8) for _ in range(3))


class Decoder(nn.Module):
    def __init__(self, tied: bool = False, plan: dict[str, str] | None = None) -> None:
        super().__init__()
        self.embed, self.layers, self.head = nn.Embedding(8, 8), nn.ModuleList([Layer()]), nn.Linear(8, 8, bias=False)
        if tied:
            self.head.weight = self.embed.weight
        if plan is not None:
            self._tp_plan = plan


def test_a_ready_plan_keeps_the_norms_of_heads_the_same_on_all_ranks() -> None:
    styles = read_plan("llama", Decoder(), 2)
    assert styles["layers.0.self_attn.q_norm"] == styles["layers.0.self_attn.k_norm"] == "heads"
    assert styles["layers.0.self_attn.q_proj"] == "colwise"
    assert styles["layers.0.mlp.down_proj"] == "rowwise"
    assert "head" not in styles


def test_layers_are_split_in_the_order_of_the_model() -> None:
    """The order must not depend on hashes, which differ between ranks: each layer is sent to them as it is split."""
    model = Decoder()
    model.layers.extend(Layer() for _ in range(9))
    for style, name in (("colwise", "up_proj"), ("heads", "q_norm")):
        names = [path for path, _ in model.named_modules() if path.endswith(name)]
        assert list(read_plan({f"*.{name}": style}, model, 2)) == names


def test_a_ready_plan_fits_models_without_norms_of_heads() -> None:
    model = Decoder()
    del model.layers[0].self_attn.q_norm, model.layers[0].self_attn.k_norm
    assert len(read_plan("llama", model, 2)) == 7
    assert read_plan("auto", model, 2) == read_plan("llama", model, 2)


def test_the_plan_that_a_model_brings_along_comes_first() -> None:
    plan = {"layers.*.mlp.up_proj": "colwise_rep", "head": "colwise_gather_output", "embed": "embedding_rowwise"}
    outer = nn.Module()
    outer.inner = Decoder(plan={**plan, "layers.*.absent": "rowwise"})
    expected = {"inner.layers.0.mlp.up_proj": "colwise_gathered", "inner.head": "colwise_gathered"}
    assert read_plan("auto", outer, 2) == expected


def test_a_layer_whose_weight_is_another_ones_stays_whole_or_is_refused() -> None:
    assert read_plan("auto", Decoder(tied=True, plan={"head": "colwise_rep"}), 2) == {}
    with pytest.raises(SettingsError, match="splits head, whose weight is that of embed and head: leave it out"):
        read_plan({"head": "colwise_gathered"}, Decoder(tied=True), 2)


@pytest.mark.parametrize(
    ("plan", "model", "message"),
    [
        ("auto", Decoder(plan={"layers.*.mlp.up_proj": "ep_router"}), r"'layers\.\*\.mlp\.up_proj' by 'ep_router'"),
        ("auto", Mlp(), r"brings no plan along, and none of llama, bert, vit, gpt2, timm_vit fits .* up, down"),
        ("lama", Mlp(), r"must be 'auto', one of 'llama'.*did you mean 'llama'"),
        ({"up": "columns"}, Mlp(), r"must be one of colwise, colwise_gathered, rowwise, rowwise_split, heads"),
        ({"upp": "colwise"}, Mlp(), r"'upp' fits no nn\.Linear of Mlp.*did you mean 'up'"),
        ({"down": "colwise"}, Mlp(9), r"tensor=2 cannot divide down, whose out_features is 9"),
        ({"up": "rowwise_split"}, Mlp(9), r"tensor=2 cannot divide up, whose in_features is 9"),
    ],
)
def test_plans_that_do_not_fit_are_refused(plan: Any, model: nn.Module, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_plan(plan, model, 2)


def test_heads_are_divided_where_attention_is_split() -> None:
    model = Decoder()
    model.config = type("Config", (), {"num_attention_heads": 3})()
    with pytest.raises(SettingsError, match="cannot divide the 3 heads of num_attention_heads"):
        read_plan("llama", model, 2)
    assert read_plan({"layers.*.mlp.up_proj": "colwise"}, model, 2)


def test_a_bias_and_a_matrix_of_one_weight_are_no_tie() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = nn.Parameter(torch.clone(model[0].weight.detach()))
    assert read_plan({"0": "colwise", "1": "rowwise"}, model, 2) == {"0": "colwise", "1": "rowwise"}
