"""Which layers a plan of tensor parallelism splits, and what it refuses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from torch import nn

from eng.runner.errors import SettingsError
from eng.runner.strategy.mesh import MeshStrategy, _shape
from eng.runner.strategy.tensor_plans import read_plan


class Layer(nn.Module):
    """Names of Hugging Face's Llama."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.ModuleDict({f"{name}_proj": nn.Linear(8, 8) for name in "qkvo"})
        self.mlp = nn.ModuleDict(
            {"gate_proj": nn.Linear(8, 24), "up_proj": nn.Linear(8, 24), "down_proj": nn.Linear(24, 8)}
        )


class Llama(nn.Module):
    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(), Layer()])
        self.lm_head = nn.Linear(8, 30)
        self.config = SimpleNamespace(num_attention_heads=heads, num_key_value_heads=heads)


def test_the_plan_of_llama_splits_attention_and_mlp_of_each_layer() -> None:
    styles = read_plan("llama", Llama(), 2)
    assert len(styles) == 14
    assert styles["layers.1.self_attn.q_proj"] == styles["layers.0.mlp.up_proj"] == "colwise"
    assert styles["layers.0.self_attn.o_proj"] == styles["layers.1.mlp.down_proj"] == "rowwise"
    assert "lm_head" not in styles


@pytest.mark.parametrize(
    ("plan", "ranks", "words"),
    [
        ("lama", 2, r"one of 'llama', 'timm_vit' or a mapping.*got 'lama'; did you mean 'llama'"),
        (None, 2, "got None"),
        ({}, 2, r"got \{\}"),
        ({"layers.*": "colwise"}, 2, None),
        ({"lm_haed": "colwise"}, 2, "'lm_haed' fits no nn.Linear of Llama.*lm_head"),
        ({"lm_head": "diagonal"}, 2, r"tensor_plan\['lm_head'\] must be one of colwise.*got 'diagonal'"),
        ({"lm_head": "colwise"}, 4, "tensor=4 cannot divide lm_head, whose out_features is 30"),
        ({"lm_head": "rowwise"}, 3, "tensor=3 cannot divide lm_head, whose in_features is 8"),
        ("llama", 8, "tensor=8 cannot divide the 4 heads of num_attention_heads of Llama"),
        ("timm_vit", 2, "fits no nn.Linear"),
    ],
)
def test_plans_that_do_not_fit(plan, ranks: int, words: str | None) -> None:
    if words is None:
        assert set(read_plan(plan, Llama(), ranks).values()) == {"colwise"}
        return
    with pytest.raises(SettingsError, match=words):
        read_plan(plan, Llama(), ranks)


def test_the_length_of_the_shard_axis_is_what_is_left() -> None:
    assert _shape(2, -1, 2, 16) == (2, 4, 2)
    assert _shape(1, -1, 4, 4) == (1, 1, 4)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ((2, 2, 2, 4), "replicate=2, shard=2, tensor=2 do not multiply to the 4 ranks"),
        ((3, -1, 1, 4), "do not multiply to the 4 ranks"),
        ((0, 1, 1, 4), "are 1 or more, got replicate=0"),
        ((1, -2, 1, 4), "shard=-2"),
    ],
)
def test_meshes_that_do_not_fit_the_ranks(axes, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        _shape(*axes)


def test_a_mesh_needs_a_process_group() -> None:
    with pytest.raises(SettingsError, match="the strategy Mesh needs a process group"):
        MeshStrategy(tensor=2, tensor_plan="llama")
