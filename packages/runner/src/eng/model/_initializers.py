"""Initialisers that configs describe, such as ``dict(type='Kaiming', layer='Conv2d', override=...)``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from eng.registry import WEIGHT_INITIALIZERS

from . import _init_functions as functions
from ._init_record import has_record, update_init_info
from .errors import InitCfgError, OverrideTargetError


class BaseInit:
    """Base class of all weight initialisers except :class:`PretrainedInit`.

    Args:
        bias: value of the biases of the initialised layers.
        bias_prob: a probability that replaces ``bias``: the biases get the value whose sigmoid is this probability.
            None (default) uses ``bias``.
        layer: class name, or list of class names; a layer is initialised if its class or a direct base class has one
            of these names. None initialises no layer, except in an ``override``, which initialises all layers.

    Raises:
        TypeError: an argument has the wrong type.
    """

    def __init__(
        self, *, bias: float = 0, bias_prob: float | None = None, layer: str | list[str] | None = None
    ) -> None:
        # initialize() sets wholemodule to True for an override, which initialises all layers of a submodule.
        self.wholemodule = False
        if not isinstance(bias, (int, float)):
            raise TypeError(f"bias takes a number, got {type(bias).__name__}")
        if bias_prob is not None and not isinstance(bias_prob, float):
            raise TypeError(f"bias_prob must be a float, got {type(bias_prob).__name__}")
        if layer is not None and not isinstance(layer, (str, list)):
            raise TypeError(f"layer must be a class name or a list of them, got {type(layer).__name__}")
        if bias_prob is not None:
            bias = functions.bias_init_with_prob(bias_prob)
        self.bias = bias
        if isinstance(layer, str):
            layer = [layer]
        self.layer = list(layer or [])

    def _fill(self, module: nn.Module) -> None:
        """Initialises the weight and bias of a single layer; subclasses override this method, which does nothing."""

    def __call__(self, module: nn.Module) -> None:
        """Initialises ``module`` and its submodules whose class, or a direct base class, is listed in ``layer``."""
        module.apply(self._fill_if_listed)
        if has_record(module):
            update_init_info(module, init_info=self._get_init_info())

    def _fill_if_listed(self, module: nn.Module) -> None:
        names = {type(module).__name__, *(base.__name__ for base in type(module).__bases__)}
        if self.wholemodule or names & set(self.layer):
            self._fill(module)

    def _options(self) -> dict[str, Any]:
        return {"bias": self.bias}

    def _get_init_info(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self._options().items())
        if not options:
            return type(self).__name__
        return f"{type(self).__name__}: {options}"


@WEIGHT_INITIALIZERS.register_module(name="Constant")
class ConstantInit(BaseInit):
    """Sets all weights of the listed layers to a constant; see :func:`constant_init`.

    Args:
        val: value of all elements of the weights.
        **kwargs: see :class:`BaseInit`.
    """

    def __init__(self, val: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.val = val

    def _fill(self, module: nn.Module) -> None:
        functions.constant_init(module, self.val, self.bias)

    def _options(self) -> dict[str, Any]:
        return {"val": self.val, "bias": self.bias}


@WEIGHT_INITIALIZERS.register_module(name="Xavier")
class XavierInit(BaseInit):
    """Xavier (Glorot) initialisation; see :func:`xavier_init`.

    Args:
        gain: factor that multiplies the standard deviation of the weights.
        distribution: distribution that the weights are drawn from, ``"normal"`` or ``"uniform"``.
        **kwargs: see :class:`BaseInit`.
    """

    def __init__(self, gain: float = 1, distribution: str = "normal", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gain, self.distribution = gain, distribution

    def _fill(self, module: nn.Module) -> None:
        functions.xavier_init(module, self.gain, self.bias, self.distribution)

    def _options(self) -> dict[str, Any]:
        return {"gain": self.gain, "distribution": self.distribution, "bias": self.bias}


@WEIGHT_INITIALIZERS.register_module(name="Normal")
class NormalInit(BaseInit):
    """Initialises weights from a normal distribution; see :func:`normal_init`.

    Args:
        mean: mean of the weights.
        std: standard deviation of the weights.
        **kwargs: see :class:`BaseInit`.
    """

    def __init__(self, mean: float = 0, std: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.std = mean, std

    def _fill(self, module: nn.Module) -> None:
        functions.normal_init(module, self.mean, self.std, self.bias)

    def _options(self) -> dict[str, Any]:
        return {"mean": self.mean, "std": self.std, "bias": self.bias}


@WEIGHT_INITIALIZERS.register_module(name="TruncNormal")
class TruncNormalInit(BaseInit):
    """Initialises weights from a truncated normal distribution; see :func:`trunc_normal_init`.

    Args:
        mean: mean of the normal distribution before the truncation.
        std: standard deviation of the normal distribution before the truncation.
        a: lowest value of a weight.
        b: highest value of a weight.
        **kwargs: see :class:`BaseInit`.
    """

    def __init__(self, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mean, self.std, self.a, self.b = mean, std, a, b

    def _fill(self, module: nn.Module) -> None:
        functions.trunc_normal_init(module, self.mean, self.std, self.a, self.b, self.bias)

    def _options(self) -> dict[str, Any]:
        return {"a": self.a, "b": self.b, "mean": self.mean, "std": self.std, "bias": self.bias}


@WEIGHT_INITIALIZERS.register_module(name="Uniform")
class UniformInit(BaseInit):
    """Initialises weights from a uniform distribution; see :func:`uniform_init`.

    Args:
        a: lowest value of a weight.
        b: highest value of a weight.
        **kwargs: see :class:`BaseInit`.
    """

    def __init__(self, a: float = 0, b: float = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.a, self.b = a, b

    def _fill(self, module: nn.Module) -> None:
        functions.uniform_init(module, self.a, self.b, self.bias)

    def _options(self) -> dict[str, Any]:
        return {"a": self.a, "b": self.b, "bias": self.bias}


@WEIGHT_INITIALIZERS.register_module(name="Kaiming")
class KaimingInit(BaseInit):
    """Kaiming (He) initialisation; see :func:`kaiming_init`.

    Args:
        a: negative slope of the leaky ReLU that follows the layer; ignored with ``nonlinearity="relu"``.
        mode: ``"fan_in"`` preserves the variance of the activations in the forward pass, ``"fan_out"`` the variance of
            the gradients in the backward pass.
        nonlinearity: the activation function that follows the layer, ``"relu"`` or ``"leaky_relu"``.
        distribution: distribution that the weights are drawn from, ``"normal"`` or ``"uniform"``.
        **kwargs: see :class:`BaseInit`.
    """

    def __init__(
        self,
        a: float = 0,
        mode: str = "fan_out",
        nonlinearity: str = "relu",
        distribution: str = "normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.a, self.mode, self.nonlinearity, self.distribution = a, mode, nonlinearity, distribution

    def _fill(self, module: nn.Module) -> None:
        functions.kaiming_init(module, self.a, self.mode, self.nonlinearity, self.bias, self.distribution)

    def _options(self) -> dict[str, Any]:
        names = ("a", "mode", "nonlinearity", "distribution", "bias")
        return {name: getattr(self, name) for name in names}


@WEIGHT_INITIALIZERS.register_module(name="Caffe2Xavier")
class Caffe2XavierInit(KaimingInit):
    """Initialises weights like ``XavierFill`` of the framework Caffe2; see :func:`caffe2_xavier_init`.

    Args:
        **kwargs: see :class:`BaseInit`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(a=1, mode="fan_in", nonlinearity="leaky_relu", distribution="uniform", **kwargs)


@WEIGHT_INITIALIZERS.register_module(name="Pretrained")
class PretrainedInit:
    """Initialises a module with the weights of a checkpoint.

    Args:
        checkpoint: path or URL of the checkpoint file.
        prefix: loads only the weights whose names begin with this prefix, and removes the prefix from their names;
            ``"backbone."`` takes the weights of the backbone from the checkpoint of a larger model. None (default)
            loads all weights.
        map_location: device that the checkpoint's tensors are loaded to.
    """

    def __init__(self, checkpoint: str, prefix: str | None = None, map_location: Any = "cpu") -> None:
        self.checkpoint, self.prefix, self.map_location = checkpoint, prefix, map_location

    def __call__(self, module: nn.Module) -> None:
        """Loads the checkpoint's weights into ``module``; missing and unexpected names of weights are only logged.

        Raises:
            InitCfgError: no weight in the checkpoint has a name that begins with ``prefix``.
        """
        from eng.checkpoint import CheckpointLoader, load_state_dict

        loaded = CheckpointLoader.load_checkpoint(self.checkpoint, map_location=self.map_location)
        weights = loaded.get("state_dict", loaded)
        if self.prefix is not None:
            weights = self._below_prefix(weights)
        load_state_dict(module, weights, strict=False)
        if has_record(module):
            update_init_info(module, init_info=self._get_init_info())

    def _below_prefix(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the weights whose names begin with the prefix, under their names without the prefix."""
        prefix = str(self.prefix)
        if not prefix.endswith("."):
            prefix = f"{prefix}."
        chosen = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
        if not chosen:
            tops = sorted({name.split(".")[0] for name in weights})[:10]
            raise InitCfgError(f"{self.checkpoint} holds nothing under the prefix {prefix!r}; it has {tops}")
        return chosen

    def _get_init_info(self) -> str:
        return f"{type(self).__name__}: load from {self.checkpoint}"


def initialize(module: nn.Module, init_cfg: Mapping[str, Any] | list[Any]) -> None:
    """Initialises the layers of a module with the initialisers that ``init_cfg`` describes.

    Args:
        module: the module whose weights are set in place.
        init_cfg: config of an initialiser, or a list of such configs, which are applied in order. A config may have an
            ``override`` (a dict or a list of dicts), which initialises the submodule ``name`` of the module by the
            initialiser ``type``. If the override has only a ``name``, the initialiser of the surrounding config is
            applied to all layers of the submodule.

    Raises:
        TypeError: ``init_cfg`` or an ``override`` has the wrong type.
        InitCfgError: an ``override`` lacks ``name``, or has further keys but lacks ``type``.
        OverrideTargetError: the module has no submodule with the name of an ``override``.
        UnknownTypeError: no initialiser is registered under a ``type``.

    Examples:
        >>> layer = nn.Linear(2, 3)
        >>> initialize(layer, dict(type="Constant", layer="Linear", val=1, bias=2))
        >>> layer.bias.tolist()
        [2.0, 2.0, 2.0]
    """
    for cfg in _list_of(init_cfg, "init_cfg"):
        outer = copy.deepcopy(dict(cfg))
        override = outer.pop("override", None)
        _apply(module, outer)
        if override is not None:
            # An override without a type initialises all layers of its submodule, whatever `layer` says.
            outer.pop("layer", None)
            _apply_overrides(module, override, outer)


def _list_of(cfg: Any, name: str) -> list[Any]:
    """Returns a list of configs from a single config or a list; raises TypeError for any other type of ``cfg``.

    ``name`` is the name of the setting in error messages.
    """
    if isinstance(cfg, Mapping):
        return [cfg]
    if not isinstance(cfg, (list, tuple)):
        raise TypeError(f"{name} takes one dict, or several in a list, got {type(cfg).__name__}")
    for item in cfg:
        if not isinstance(item, Mapping):
            raise TypeError(f"{name} takes one dict, or several in a list, got a list with {type(item).__name__}")
    return list(cfg)


def _apply(module: nn.Module, cfg: dict[str, Any], wholemodule: bool = False) -> None:
    initializer: Callable[[nn.Module], None] = WEIGHT_INITIALIZERS.build(cfg)
    initializer.wholemodule = wholemodule  # type: ignore[attr-defined]  # MMEngine's attribute of initializers
    initializer(module)


def _apply_overrides(module: nn.Module, override: Any, outer: dict[str, Any]) -> None:
    """Initialises the submodules of ``module`` that ``override`` names.

    ``outer`` is the config that surrounds the override; it applies where the override has only a ``name``.
    """
    for item in _list_of(override, "override"):
        cfg = copy.deepcopy(dict(item))
        name = cfg.pop("name", None)
        if name is None:
            raise InitCfgError(f"an override needs 'name', the child it is for; it has {cfg}")
        cfg = cfg or dict(outer)
        if "type" not in cfg:
            raise InitCfgError(f"the override of {name!r} needs a 'type', or nothing beside its name; it has {cfg}")
        if not hasattr(module, name):
            raise OverrideTargetError(module, name, cfg, [child for child, _ in module.named_children()])
        _apply(getattr(module, name), cfg, wholemodule=True)
