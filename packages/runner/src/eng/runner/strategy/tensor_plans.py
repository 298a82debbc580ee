"""Plans of tensor parallelism: patterns of module names, and how the layers with such names are split over ranks."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.checkpoint.unwrap import model_name
from eng.logging.near_names import suggest

from ..errors import SettingsError

PLANS: dict[str, dict[str, str]] = {
    # Llama, Mistral, Qwen, Gemma and similar models of Hugging Face's transformers. Some of them normalise the heads of
    # queries and keys (q_norm, k_norm).
    "llama": {
        "*self_attn.q_proj": "colwise",
        "*self_attn.k_proj": "colwise",
        "*self_attn.v_proj": "colwise",
        "*self_attn.q_norm": "heads",
        "*self_attn.k_norm": "heads",
        "*self_attn.o_proj": "rowwise",
        "*mlp.gate_proj": "colwise",
        "*mlp.up_proj": "colwise",
        "*mlp.down_proj": "rowwise",
    },
    # BERT, RoBERTa and ELECTRA of Hugging Face's transformers.
    "bert": {
        "*attention.self.query": "colwise",
        "*attention.self.key": "colwise",
        "*attention.self.value": "colwise",
        "*attention.output.dense": "rowwise",
        "*intermediate.dense": "colwise",
        "*layer.*.output.dense": "rowwise",
    },
    # Vision transformers (ViT) of Hugging Face's transformers 5.
    "vit": {
        "*attention.q_proj": "colwise",
        "*attention.k_proj": "colwise",
        "*attention.v_proj": "colwise",
        "*attention.o_proj": "rowwise",
        "*mlp.fc1": "colwise",
        "*mlp.fc2": "rowwise",
    },
    # The attention of the next two models computes query, key and value in one layer, whose columns are not ordered by
    # heads. These plans therefore split only the MLP layers.
    "gpt2": {"*h.*.mlp.c_fc": "colwise", "*h.*.mlp.c_proj": "rowwise"},
    "timm_vit": {"*blocks.*.mlp.fc1": "colwise", "*blocks.*.mlp.fc2": "rowwise"},
}
"""Ready plans by name: a pattern of module names, and how layers with such a name are split."""

OF_TRANSFORMERS = {
    "colwise": "colwise",
    "rowwise": "rowwise",
    "colwise_rep": "colwise_gathered",
    "colwise_gather_output": "colwise_gathered",
    "rowwise_rep": "rowwise_split",
    "rowwise_split_input": "rowwise_split",
    "replicated_with_grad_allreduce": "heads",
    "embedding_rowwise": None,
    "vocab_parallel_rowwise": None,
}
"""Maps the styles in the attribute ``_tp_plan`` of models of transformers 4 and 5 to those of eng.

Layers whose style maps to None are not split.
"""

_STYLES = ("colwise", "colwise_gathered", "rowwise", "rowwise_split", "heads")
# Patterns of the ready plans that need not match a layer, because only some models normalise queries and keys.
_OPTIONAL = ("*self_attn.q_norm", "*self_attn.k_norm")
_HEAD_COUNTS = ("num_attention_heads", "num_key_value_heads")


def read_plan(plan: object, model: nn.Module, ranks: int) -> dict[str, str]:
    """Maps the name of each layer that a plan splits over ranks to the style of the split.

    Args:
        plan: ``"auto"`` uses the ``_tp_plan`` of a model of transformers, or else the ready plan that fits the names of
            the model's layers. Other values are the name of a ready plan, or a mapping from patterns of module names to
            ``"colwise"`` (the outputs of the layer are split), ``"rowwise"`` (the inputs arrive split, and the results
            are summed over ranks), ``"colwise_gathered"`` (the outputs are split and gathered again),
            ``"rowwise_split"`` (the inputs arrive complete and are split by the layer) or ``"heads"`` (a layer whose
            parameters serve every head: each rank applies the layer to its own heads, and the gradients are summed over
            ranks).
        model: the model whose layers are split.
        ranks: number of ranks that share a layer.

    Raises:
        SettingsError: the plan is unknown, a pattern matches no layer, or a layer cannot be divided evenly.
    """
    is_own = plan == "auto"
    patterns, optional = _patterns(plan, model)
    layers = {name: module for name, module in model.named_modules() if can_be_split(module)}
    owners = [name for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]
    styles: dict[str, str] = {}
    for pattern, style in patterns.items():
        if style not in _STYLES:
            raise SettingsError(f"tensor_plan[{pattern!r}] must be one of {', '.join(_STYLES)}, got {style!r}")
        known = list(layers)  # In the model's order, because all ranks must split the layers in the same order.
        if style == "heads":
            known = owners
        names = [name for name in known if fnmatch.fnmatchcase(name, pattern)]
        if not names and pattern not in optional:
            hint = suggest(pattern, known, otherwise=f"; there are {', '.join(known[:12]) or 'none'}")
            raise SettingsError(f"tensor_plan: {pattern!r} fits no nn.Linear of {model_name(model)}{hint}")
        styles |= dict.fromkeys(names, style)
    _leave_tied(styles, model, refuse=not is_own)
    for name, style in styles.items():
        _check_size(name, layers.get(name), style, ranks)
    if any("att" in name for name in styles):
        _check_heads(model, ranks)
    return styles


def can_be_split(module: nn.Module) -> bool:
    """Whether tensor parallelism can split a layer: ``nn.Linear``, or ``Conv1D`` of transformers (also linear)."""
    return isinstance(module, nn.Linear) or is_transposed(module)


def is_transposed(module: nn.Module) -> bool:
    """Whether a layer is ``Conv1D`` of transformers: a linear layer whose weight has the shape (inputs, outputs)."""
    return type(module).__name__ == "Conv1D" and type(module).__module__.startswith("transformers.")


def _patterns(plan: object, model: nn.Module) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Returns the patterns of a plan with their styles, and the patterns that may match no layer.

    Every other pattern must match at least one layer.
    """
    if isinstance(plan, Mapping) and plan:
        return plan, ()
    if plan == "auto":
        model_plan = _plan_of_model(model)
        if model_plan:
            return model_plan, tuple(model_plan)
        return PLANS[_fitting_plan(model)], _OPTIONAL
    if isinstance(plan, str) and plan in PLANS:
        return PLANS[plan], _OPTIONAL
    hint = ""
    if isinstance(plan, str):
        hint = suggest(plan, PLANS)
    raise SettingsError(
        f"tensor_plan must be 'auto', one of {', '.join(map(repr, PLANS))} or a mapping such as "
        f"{{'layers.*.up': 'colwise', 'layers.*.down': 'rowwise'}}, got {plan!r}{hint}"
    )


def _plan_of_model(model: nn.Module) -> dict[str, str]:
    """Returns the plan in the attribute ``_tp_plan`` of `model` or of its first submodule that has one.

    The plan is empty if no module has such an attribute.

    Raises:
        SettingsError: the plan contains a style that eng does not support.
    """
    for prefix, module in model.named_modules():
        module_plan = getattr(module, "_tp_plan", None)
        if not isinstance(module_plan, Mapping) or not module_plan:
            continue
        unknown = {pattern: style for pattern, style in module_plan.items() if style not in OF_TRANSFORMERS}
        if unknown:
            raise SettingsError(
                f"the plan of {type(module).__name__} splits {next(iter(unknown))!r} by {next(iter(unknown.values()))!r}, "
                "which is not supported: give tensor_plan a mapping of the layers to split"
            )
        start = ""
        if prefix:
            start = f"{prefix}."
        styles = {f"{start}{pattern}": OF_TRANSFORMERS[style] for pattern, style in module_plan.items()}
        return {pattern: style for pattern, style in styles.items() if style is not None}
    return {}


def _fitting_plan(model: nn.Module) -> str:
    """Returns the name of the first ready plan of which every required pattern matches a layer of the model.

    Raises:
        SettingsError: no ready plan fits.
    """
    layers = [name for name, module in model.named_modules() if can_be_split(module)]
    for name, patterns in PLANS.items():
        needed = [pattern for pattern in patterns if pattern not in _OPTIONAL]
        if all(fnmatch.filter(layers, pattern) for pattern in needed):
            return name
    raise SettingsError(
        f"tensor_plan='auto': {model_name(model)} brings no plan along, and none of {', '.join(PLANS)} fits its layers; "
        f"give a mapping of their names, of which there are {', '.join(layers[:12]) or 'none'}"
    )


def _leave_tied(styles: dict[str, str], model: nn.Module, *, refuse: bool) -> None:
    """Removes layers with tied weights (one parameter in several modules) from a plan: splitting would untie them.

    Raises:
        SettingsError: the plan contains such a layer, and `refuse` is True.
    """
    owners: dict[int, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        for parameter in module.parameters(recurse=False):
            owners.setdefault(id(parameter), []).append(name)
    tied = {name: names for names in owners.values() if len(set(names)) > 1 for name in names if name in styles}
    for name, names in tied.items():
        if refuse:
            raise SettingsError(
                f"tensor_plan splits {name}, whose weight is that of {' and '.join(names)}: leave it out"
            )
        styles.pop(name, None)


def _check_size(name: str, layer: nn.Module | None, style: str, ranks: int) -> None:
    """Raises a SettingsError if the split dimension of a layer's weight is not a multiple of the number of ranks."""
    if layer is None:
        return
    weight: Any = layer.weight
    out_features, in_features = weight.shape
    if is_transposed(layer):
        in_features, out_features = weight.shape
    side, size = "out_features", out_features
    if style.startswith("rowwise"):
        side, size = "in_features", in_features
    if size % ranks:
        raise SettingsError(f"tensor={ranks} cannot divide {name}, whose {side} is {size}: choose a divisor of it")


def _check_heads(model: nn.Module, ranks: int) -> None:
    """Raises a SettingsError if the ranks would have to divide attention heads.

    The number of heads comes from the config of a transformers model; models without this config are not checked.
    """
    for module in model.modules():
        for name in _HEAD_COUNTS:
            count = getattr(getattr(module, "config", None), name, None)
            if isinstance(count, int) and count % ranks:
                raise SettingsError(
                    f"tensor={ranks} cannot divide the {count} heads of {name} of {type(module).__name__}"
                )
