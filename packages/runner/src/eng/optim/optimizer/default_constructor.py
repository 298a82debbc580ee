"""DefaultOptimWrapperConstructor: builds an optimizer and its wrapper, with parameter-wise settings if asked for."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Mapping
from typing import Any

from torch import nn

from eng.checkpoint.unwrap import name_in_checkpoint, unwrap
from eng.logging.near_names import suggest
from eng.logging.words import counted
from eng.optim.errors import MissingValueError, OptimTypeError
from eng.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

from ._paramwise import KNOWN, Place, check_rules, is_deformable, logged, options
from .optimizer_wrapper import OptimWrapper
from .split_optimizer import SplitOptimizer, is_for_first, read_split

logger = logging.getLogger(__name__)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DefaultOptimWrapperConstructor:
    """Builds an optimizer for a model, and the optimizer wrapper.

    Without ``paramwise_cfg`` all parameters are in one parameter group. With ``paramwise_cfg`` each parameter that
    needs a gradient has a group of its own, whose learning rate and weight decay are those of the optimizer's config
    times the factors that these rules give:

    - ``lr_mult`` and ``decay_mult`` multiply the learning rate and the weight decay of all parameters;
    - ``custom_keys`` has settings for parameters by a part of their name, such as ``{"backbone": dict(lr_mult=0.1)}``.
      The settings are ``lr_mult``, ``decay_mult``, and any other setting of a parameter group. If several keys are part
      of a parameter's name, the longest key decides. For a parameter with a custom key, the rules below are ignored;
    - ``bias_lr_mult`` and ``bias_decay_mult`` multiply the learning rate and the weight decay of biases, except the
      biases of normalisation layers and of the offset layers of deformable convolutions;
    - ``norm_decay_mult`` multiplies the weight decay of normalisation layers;
    - ``dwconv_decay_mult`` multiplies the weight decay of depthwise convolutions;
    - ``flat_decay_mult`` multiplies the weight decay of parameters with one dimension;
    - ``dcn_offset_lr_mult`` multiplies the learning rate of the offset layers of deformable convolutions;
    - ``bypass_duplicate``: a parameter that several modules share is logged as a warning (True) or as an info (False,
      the default). In both cases the parameter is in one group only.

    Args:
        optim_wrapper_cfg: a dict with ``optimizer`` (the config of the optimizer), ``type`` (class of the optimizer
            wrapper) and arguments of the wrapper.
        paramwise_cfg: the rules above; None (default) puts all parameters into one group.

    Raises:
        OptimTypeError: a config is not a mapping (a TypeError).
        MissingValueError: ``optim_wrapper_cfg`` has no ``optimizer`` (a KeyError).
        OptimError: a rule multiplies a value that the optimizer's config does not give (a ValueError).

    Examples:
        >>> constructor = DefaultOptimWrapperConstructor(
        ...     dict(optimizer=dict(type="SGD", lr=0.1, weight_decay=0.01)), dict(norm_decay_mult=0.0)
        ... )
        >>> wrapper = constructor(nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)))
        >>> [group["weight_decay"] for group in wrapper.optimizer.param_groups]
        [0.01, 0.01, 0.0, 0.0]
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        if not isinstance(optim_wrapper_cfg, Mapping):
            raise OptimTypeError(f"optim_wrapper_cfg must be a mapping, got {type(optim_wrapper_cfg).__name__}")
        if "optimizer" not in optim_wrapper_cfg:
            raise MissingValueError(
                f"optim_wrapper needs 'optimizer', the config of one{suggest('optimizer', optim_wrapper_cfg)}"
            )
        # copy.copy returns a ConfigDict, which knows its file and line, so that a build error can name them.
        self.optim_wrapper_cfg = copy.copy(optim_wrapper_cfg)
        self.optimizer_cfg = self.optim_wrapper_cfg.pop("optimizer")
        self.paramwise_cfg: dict[str, Any] = {} if paramwise_cfg is None else paramwise_cfg
        self._rules = paramwise_cfg
        self.base_lr = self.optimizer_cfg.get("lr", None)
        self.base_wd = self.optimizer_cfg.get("weight_decay", None)
        self._used_keys: set[str] = set()
        self._validate_cfg()

    def _validate_cfg(self) -> None:
        """Checks the rules of ``paramwise_cfg``; a subclass that adds rules may override this method to check them."""
        if type(self) is not DefaultOptimWrapperConstructor:
            # A subclass may read rules and group settings that this class does not know, so these are not checked.
            check_rules(self.paramwise_cfg, self.base_wd, None)
            return
        check_rules(self.paramwise_cfg, self.base_wd, _group_values(self.optimizer_cfg.get("type")))
        for rule in self.paramwise_cfg:
            if rule not in KNOWN:
                logger.warning("paramwise_cfg has no rule %r%s; it is ignored", rule, suggest(rule, KNOWN))

    def _is_in(self, param_group: dict[str, Any], param_group_list: list[dict[str, Any]]) -> bool:
        """Whether any parameter of ``param_group`` is in one of the groups of ``param_group_list``."""
        known = {id(parameter) for group in param_group_list for parameter in group["params"]}
        return any(id(parameter) in known for parameter in param_group["params"])

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = "",
        is_dcn_module: float | None = None,
    ) -> None:
        """Appends a parameter group for each parameter of a module and its submodules to ``params``.

        Frozen parameters, and parameters that ``params`` has already, get no group. Subclasses override this method to
        apply rules of their own.

        Args:
            params: list of parameter groups, to which the new groups are appended.
            module: the module whose parameters are added.
            prefix: dotted name of the module in the model; empty for the model itself.
            is_dcn_module: whether the module is a child of a deformable convolution.
        """
        known = {id(parameter) for group in params for parameter in group["params"]}
        for name, parameter in module.named_parameters(recurse=False):
            site = Place(name, prefix, module, bool(is_dcn_module), parameter.ndim)
            if id(parameter) in known:
                self._tell_duplicate(site)
            elif not parameter.requires_grad:
                logger.warning("%s is frozen (requires_grad=False) and gets no update", site.path)
            else:
                known.add(id(parameter))
                params.append({"params": [parameter], **self._options(site)})
        for name, child in module.named_children():
            path = f"{prefix}.{name}" if prefix else name
            self.add_params(params, child, prefix=path, is_dcn_module=is_deformable(module))

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Builds the optimizer for the parameters of ``model``, and returns it in its optimizer wrapper."""
        model = unwrap(model)
        if "split" in self.optimizer_cfg:
            optimizer = self._build_split_optimizer(model)
        else:
            optimizer = self._build_optimizer(self.optimizer_cfg, self._groups(model))
        wrapper_args = {"type": "OptimWrapper", "optimizer": optimizer}
        return OPTIM_WRAPPERS.build(self.optim_wrapper_cfg, default_args=wrapper_args)  # type: ignore[no-any-return]  # built by name

    def _build_optimizer(self, cfg: Any, groups: Any) -> Any:
        return OPTIMIZERS.build(cfg, default_args={_first_argument(cfg.get("type")): groups})

    def _build_split_optimizer(self, model: nn.Module) -> SplitOptimizer:
        """Builds two optimizers for different parameters of the model, and joins them in a :class:`SplitOptimizer`.

        The setting ``split`` of the optimizer's config is the config of the second optimizer, and says which parameters
        the second optimizer updates. The rules of ``paramwise_cfg`` apply to both optimizers.
        """
        first = copy.copy(self.optimizer_cfg)
        second, ndim, modules = read_split(first.pop("split"), first.get("type"))
        names = {id(parameter): name_in_checkpoint(model, name) for name, parameter in model.named_parameters()}
        optimizers = []
        for cfg, wanted in ((first, True), (second, False)):
            part = type(self)({**self.optim_wrapper_cfg, "optimizer": cfg}, dict(self._rules or {}))
            groups = []
            for group in _as_groups(part._groups(model)):  # noqa: SLF001  # an instance of this class
                chosen = [p for p in group["params"] if is_for_first(names[id(p)], p, ndim, modules) == wanted]
                if chosen:
                    groups.append({**group, "params": chosen})
            if groups:
                optimizers.append(self._build_optimizer(cfg, groups))
                count = sum(len(group["params"]) for group in groups)
                logger.info("%s optimizes %s", type(optimizers[-1]).__name__, counted(count, "parameter"))
        return SplitOptimizer(optimizers)

    def _groups(self, model: nn.Module) -> Any:
        """Returns the model's parameters; with ``paramwise_cfg``, one parameter group for each parameter."""
        if not self.paramwise_cfg:
            return model.parameters()
        params: list[dict[str, Any]] = []
        self._used_keys.clear()
        self.add_params(params, model)
        if type(self).add_params is DefaultOptimWrapperConstructor.add_params:
            self._warn_of_unused_keys(model)
        return params

    def _options(self, site: Place) -> dict[str, Any]:
        """Returns the settings of a parameter's own group, and logs the settings that a rule has decided.

        The log lines have the format that MMEngine's manual shows.
        """
        values, key = options(site, self.paramwise_cfg, self.base_lr, self.base_wd)
        if key is not None:
            self._used_keys.add(key)
        silent = {"lr", "weight_decay"} - logged(site, self.paramwise_cfg, key)
        for name, value in values.items():
            if name not in silent:
                logger.info("paramwise_options -- %s:%s=%s", site.path, name, value)
        return values

    def _tell_duplicate(self, site: Place) -> None:
        level = logging.INFO
        if self.paramwise_cfg.get("bypass_duplicate", False):
            level = logging.WARNING
        logger.log(level, "%s is shared with another module; it is in the group of the first", site.path)

    def _warn_of_unused_keys(self, model: nn.Module) -> None:
        """Logs a warning for each key of ``custom_keys`` that has no effect.

        A key has no effect if it is part of no parameter's name, or if a longer key is part of all these names too.
        """
        paths = [name for name, _ in model.named_modules() if name]
        paths += [f".{name}" for name, _ in model.named_parameters()]
        for key in self.paramwise_cfg.get("custom_keys") or {}:
            if not any(key in path or key == f".{path}" for path in paths):
                hint = suggest(key, paths, otherwise="")
                logger.warning("paramwise_cfg.custom_keys: %r is part of no parameter's name%s", key, hint)
            elif key not in self._used_keys:
                logger.warning("paramwise_cfg.custom_keys: %r decides nothing, as longer keys fit the same names", key)


def _as_groups(params: Any) -> list[dict[str, Any]]:
    """Returns a list of parameter groups, from parameter groups or from plain parameters.

    Parameter groups are returned unchanged. Plain parameters become one group, without those that need no gradient.
    """
    listed = list(params)
    if listed and isinstance(listed[0], dict):
        return listed
    return [{"params": [parameter for parameter in listed if parameter.requires_grad]}]


def _optimizer_class(optimizer_type: Any) -> Any:
    if isinstance(optimizer_type, str):
        with OPTIMIZERS.switch_scope_and_registry(None) as registry:
            optimizer_type = registry.get(optimizer_type)
    return optimizer_type


def _group_values(optimizer_type: Any) -> list[str] | None:
    """Returns the names of the settings that a parameter group of a torch optimizer may have, such as ``lr``.

    The result is None for optimizers of other libraries, for which the names of all settings are allowed.
    """
    optimizer_type = _optimizer_class(optimizer_type)
    if not inspect.isclass(optimizer_type) or not str(optimizer_type.__module__).startswith("torch.optim"):
        return None
    return [name for name in inspect.signature(optimizer_type).parameters if name != "params"]


def _first_argument(optimizer_type: Any) -> str:
    """Returns the name of the first argument of an optimizer's constructor, to which the parameters are passed."""
    optimizer_type = _optimizer_class(optimizer_type)
    if not callable(optimizer_type):
        return "params"
    return next(iter(inspect.signature(optimizer_type).parameters), "params")
