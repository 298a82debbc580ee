"""LayerDecayOptimWrapperConstructor: learning rates that decay from the last layer of a model to its first one."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.checkpoint.unwrap import name_in_checkpoint, unwrap
from eng.optim.errors import OptimError
from eng.registry import OPTIM_WRAPPER_CONSTRUCTORS

from ._paramwise import KNOWN
from .default_constructor import DefaultOptimWrapperConstructor

logger = logging.getLogger(__name__)
_NUMBERED = re.compile(r"^(?:.*\.)?(?:layers?|blocks?|h|stages?|encoder|decoder|features)\.(\d+)\.")
_FIRST = re.compile(
    r"(?:^|[._])(?:embed\w*|patch_embed|cls_token|pos_embed|mask_token|stem|conv1|bn1|wte|wpe)(?:$|[._])"
)


class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Builds an optimizer with layer-wise learning-rate decay: a layer's rate is the next layer's times ``decay_rate``.

    In a model with ``n`` numbered layers, embeddings and stems have the learning rate ``lr * decay_rate ** (n + 1)``,
    layer ``i`` (from 0) has ``lr * decay_rate ** (n - i)``, and all parameters after the layers have ``lr``. Layers are
    recognised by their parameters' names, such as ``blocks.3.`` or ``encoder.layer.3.``. If the model has a method
    ``get_layer_depth(name)``, this method is called instead; it returns the depth of the parameter, from 0, and the
    number of depths.

    Args:
        optim_wrapper_cfg: configs of the optimizer and the wrapper; see :class:`DefaultOptimWrapperConstructor`.
        paramwise_cfg: ``decay_rate`` (above 0, 1 at most), ``layers`` (a regular expression for parameter names, whose
            first group is the number of the layer), and the rules of :class:`DefaultOptimWrapperConstructor`, whose
            factors multiply the decayed learning rate.

    Raises:
        OptimError: ``decay_rate`` is missing or out of range, or no parameter is in a numbered layer (a ValueError).

    Source: Clark et al. 2020 (ELECTRA), arXiv:2003.10555, for layer-wise decay; Bao et al. 2022 (BEiT), arXiv:2106.08254.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        rules = dict(paramwise_cfg or {})
        self.decay_rate = rules.pop("decay_rate", None)
        self.layers = re.compile(rules.pop("layers", _NUMBERED))
        number = self.decay_rate
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number <= 1:
            raise OptimError(
                f"LayerDecayOptimWrapperConstructor needs paramwise_cfg=dict(decay_rate=...), above 0 and 1 at most, got "
                f"{number!r}"
            )
        super().__init__(optim_wrapper_cfg, rules)
        self._rules = paramwise_cfg

    def _validate_cfg(self) -> None:
        """Checks the rules of ``paramwise_cfg``, and that the optimizer's config sets ``lr``, which decays by layer.

        Raises:
            OptimError: a rule is unknown, or ``lr`` is missing.
        """
        super()._validate_cfg()
        for rule in self.paramwise_cfg:
            if rule not in KNOWN:
                raise OptimError(
                    f"paramwise_cfg has no rule {rule!r}; there are decay_rate, layers, {', '.join(KNOWN)}"
                )
        if self.base_lr is None:
            raise OptimError("LayerDecayOptimWrapperConstructor multiplies lr, which the optimizer's config must give")

    def _groups(self, model: nn.Module) -> Any:
        """Returns one parameter group per parameter; the learning rate decays with the distance from the last layer."""
        groups: list[dict[str, Any]] = []
        self.add_params(groups, model)
        names = {id(p): name_in_checkpoint(model, name) for name, p in model.named_parameters()}
        depths = self._depths(model, list(names.values()))
        for group in groups:
            name = names[id(group["params"][0])]
            depth, last = depths[name]
            group["lr"] = group.get("lr", self.base_lr) * self.decay_rate ** (last - depth)
            logger.info("layer decay -- %s: place %d of %d, lr=%g", name, depth, last, group["lr"])
        return groups

    def _depths(self, model: Any, names: list[str]) -> Mapping[str, tuple[int, int]]:
        """Returns for each parameter name the depth of the parameter's layer, and the largest depth of the model.

        Embeddings and stems have depth 0, the first numbered layer has depth 1, and all parameters after the numbered
        layers have the largest depth.
        """
        get_depth = getattr(getattr(model, "network", model), "get_layer_depth", None)
        if callable(get_depth):
            return {name: (depth[0], depth[1] - 1) for name in names if (depth := get_depth(name))}
        numbers = {name: int(match.group(1)) for name in names if (match := self.layers.search(name))}
        if not numbers:
            raise OptimError(
                f"no parameter of {type(unwrap(model)).__name__} is in a numbered layer, such as 'blocks.0.': give "
                f"paramwise_cfg=dict(layers=...), a regular expression whose group is the number; the first is {names[:1]}"
            )
        last = max(numbers.values()) + 2
        depths = {}
        for name in names:
            if name in numbers:
                depths[name] = (numbers[name] + 1, last)
            elif _FIRST.search(name):
                depths[name] = (0, last)
            else:
                depths[name] = (last, last)
        return depths


# The class is registered as a fallback, so that a class with the same name in a user's project takes precedence.
OPTIM_WRAPPER_CONSTRUCTORS.register_fallback("LayerDecayOptimWrapperConstructor", LayerDecayOptimWrapperConstructor)
