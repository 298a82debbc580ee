"""Plans of tensor parallelism: which linear layers are split, by the names of modules."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.logging.near_names import near

from ..errors import SettingsError

PLANS: dict[str, dict[str, str]] = {
    # Llama, Mistral, Qwen, Gemma and their kind in Hugging Face's transformers.
    "llama": {
        "*self_attn.q_proj": "colwise",
        "*self_attn.k_proj": "colwise",
        "*self_attn.v_proj": "colwise",
        "*self_attn.o_proj": "rowwise",
        "*mlp.gate_proj": "colwise",
        "*mlp.up_proj": "colwise",
        "*mlp.down_proj": "rowwise",
    },
    # timm's vision transformers compute query, key and value in one layer, whose columns are not in the order of heads.
    "timm_vit": {"*blocks.*.mlp.fc1": "colwise", "*blocks.*.mlp.fc2": "rowwise"},
}
"""Ready plans by name: a pattern of module names, and how layers with such a name are split."""

_STYLES = ("colwise", "colwise_gathered", "rowwise")
_HEAD_COUNTS = ("num_attention_heads", "num_key_value_heads")


def read_plan(plan: Any, model: nn.Module, ranks: int) -> dict[str, str]:
    """How each layer that a plan names is split.

    Args:
        plan: the name of a ready plan, or a mapping of patterns of module names to ``"colwise"`` (the outputs are split),
            ``"rowwise"`` (the inputs are split, the results are summed) or ``"colwise_gathered"`` (the outputs are split
            and put together again).
        model: the model.
        ranks: number of ranks that share a layer.

    Raises:
        SettingsError: the plan is unknown, fits no layer, or a layer cannot be divided evenly.
    """
    patterns = _patterns(plan)
    styles: dict[str, str] = {}
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    for pattern, style in patterns.items():
        if style not in _STYLES:
            raise SettingsError(f"tensor_plan[{pattern!r}] must be one of {', '.join(_STYLES)}, got {style!r}")
        names = [name for name in layers if fnmatch.fnmatchcase(name, pattern)]
        if not names:
            hint = near(pattern, layers, otherwise=f"; there are {', '.join(list(layers)[:12])}")
            raise SettingsError(f"tensor_plan: {pattern!r} fits no nn.Linear of {type(model).__name__}{hint}")
        styles |= dict.fromkeys(names, style)
    for name, style in styles.items():
        side = "in_features" if style == "rowwise" else "out_features"
        if getattr(layers[name], side) % ranks:
            raise SettingsError(
                f"tensor={ranks} cannot divide {name}, whose {side} is {getattr(layers[name], side)}: choose a divisor of it"
            )
    _check_heads(model, ranks)
    return styles


def _patterns(plan: Any) -> Mapping[str, str]:
    if isinstance(plan, Mapping) and plan:
        return plan
    if isinstance(plan, str) and plan in PLANS:
        return PLANS[plan]
    hint = near(plan, PLANS) if isinstance(plan, str) else ""
    raise SettingsError(
        f"tensor_plan must be one of {', '.join(map(repr, PLANS))} or a mapping such as "
        f"{{'layers.*.up': 'colwise', 'layers.*.down': 'rowwise'}}, got {plan!r}{hint}"
    )


def _check_heads(model: nn.Module, ranks: int) -> None:
    """Makes sure that attention is split between heads, of which the config of a transformers model has the number."""
    for module in model.modules():
        for name in _HEAD_COUNTS:
            count = getattr(getattr(module, "config", None), name, None)
            if isinstance(count, int) and count % ranks:
                raise SettingsError(
                    f"tensor={ranks} cannot divide the {count} heads of {name} of {type(module).__name__}"
                )
