"""BaseModule: modules whose weights are initialised by a config, ``init_cfg``."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from ._init_record import end_record, has_record, start_record, update_init_info, write_record
from .weight_init import PretrainedInit, initialize
from .wrappers.utils import is_model_wrapper

logger = logging.getLogger(__name__)


class BaseModule(nn.Module):
    """A module whose weights :meth:`init_weights` initialises by a config, ``init_cfg``.

    Args:
        init_cfg: config of a weight initialiser, or a list of such configs; see :func:`eng.model.initialize`. The
            initialiser ``Pretrained``, which loads a checkpoint, runs last, after the initialisers of the submodules.

    Examples:
        >>> class Head(BaseModule):
        ...     def __init__(self):
        ...         super().__init__(init_cfg=dict(type="Constant", layer="Linear", val=0.5))
        ...         self.linear = nn.Linear(2, 1)
        >>> head = Head()
        >>> head.init_weights()
        >>> head.linear.weight.tolist(), head.is_init
        ([[0.5, 0.5]], True)
    """

    # Whether init_weights() is also called for submodules that have this method but are no BaseModules. MMEngine does
    # so, and the BaseModule of eng.compat sets this attribute to True.
    initialises_any_child: ClassVar[bool] = False

    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__()
        self._is_init = False
        self._is_loaded = False
        self.init_cfg = copy.deepcopy(init_cfg)

    @property
    def is_init(self) -> bool:
        """Whether the module's weights were initialised; ``init_weights`` of a parent module then skips this module."""
        return self._is_init

    @is_init.setter
    def is_init(self, value: bool) -> None:
        self._is_init = value

    @property
    def is_loaded(self) -> bool:
        """Whether the last ``load_state_dict`` had values for all parameters of the module and its submodules."""
        return self._is_loaded

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        names = [prefix + name for name, _ in self.named_parameters()]
        self._is_loaded = bool(names) and all(name in state_dict for name in names)

    def init_weights(self) -> None:
        """Initialises the weights of the module and its submodules, once; a second call only warns.

        First the initialisers of this module's ``init_cfg`` run, then ``init_weights`` of the submodules, and last the
        initialiser ``Pretrained``, if ``init_cfg`` has one. Submodules that are no BaseModules are skipped, because
        their constructors have set their weights. The outermost call writes to the log file which initialiser set each
        parameter.

        Raises:
            TypeError: ``init_cfg`` is no mapping or list of mappings.
        """
        outermost = not has_record(self)
        if outermost:
            start_record(self)
        try:
            if self._is_init:
                warnings.warn(
                    f"init_weights of {type(self).__name__} ran before: this call changes nothing", stacklevel=2
                )
            else:
                self._initialize()
                self._is_init = True
            if outermost:
                write_record(self)
        finally:
            if outermost:
                end_record(self)

    def _initialize(self) -> None:
        """Initialises this module by its ``init_cfg``, then its submodules; a ``Pretrained`` initialiser runs last."""
        first, pretrained = _split(self.init_cfg)
        if self.init_cfg:
            logger.debug("initialize %s with init_cfg %s", type(self).__name__, self.init_cfg)
            initialize(self, first)
        for child in self.children():
            _initialize_child(child, self.initialises_any_child)
        if pretrained:
            initialize(self, pretrained)

    def __repr__(self) -> str:
        text = super().__repr__()
        if not self.init_cfg:
            return text
        return f"{text}\ninit_cfg={self.init_cfg}"


def _split(init_cfg: Any) -> tuple[list[Any], list[Any]]:
    """Splits a module's ``init_cfg`` into two lists of initialiser configs.

    The initialisers of the first list run before those of the submodules. The second list has the ``Pretrained``
    initialisers, which run afterwards, so that a checkpoint overwrites all other initialisations.
    """
    first: list[Any] = []
    pretrained: list[Any] = []
    if init_cfg is not None and not isinstance(init_cfg, (Mapping, list, tuple)):
        raise TypeError(f"init_cfg takes one dict, or several in a list, got {type(init_cfg).__name__}: {init_cfg!r}")
    if isinstance(init_cfg, Mapping):
        init_cfg = [init_cfg]
    for cfg in init_cfg or []:
        if not isinstance(cfg, Mapping):
            raise TypeError(
                f"init_cfg takes one dict, or several in a list, got a list with {type(cfg).__name__}: {cfg!r}"
            )
        initializer = cfg.get("type")
        if initializer in ("Pretrained", "PretrainedInit", PretrainedInit):
            pretrained.append(cfg)
        else:
            first.append(cfg)
    return first, pretrained


def init_given_weights(model: nn.Module) -> None:
    """Initialises the weights of a model that the user built, and keeps weights that the user has already set.

    Submodules whose ``init_weights`` ran, or whose parameters were all loaded from a state dict, keep their weights. If
    the ``init_cfg`` of a parent module overwrites loaded parameters all the same, a warning names the parameters.

    Args:
        model: the model. A model that is no :class:`BaseModule` is not changed.
    """
    if not isinstance(model, BaseModule):
        return
    parts = [part for part in model.modules() if isinstance(part, BaseModule)]
    loaded = {id(p): p.detach().clone() for part in parts if part.is_loaded for p in part.parameters()}
    for part in parts:
        part.is_init = part.is_init or part.is_loaded
        part.initialises_any_child = False  # type: ignore[misc]  # set on the object, not on its class
    if model.is_init:
        return
    model.init_weights()
    model.is_init = True
    changed = [name for name, p in model.named_parameters() if id(p) in loaded and not torch.equal(p, loaded[id(p)])]
    if changed:
        names = ", ".join(changed[:8])
        if len(changed) > 8:
            names += " ..."
        logger.warning(
            "init_weights() of %s set parameters that were loaded before: %s; Runner(..., init_weights=False) keeps "
            "the weights of a model as they are",
            type(model).__name__,
            names,
        )


def _initialize_child(child: Any, of_any_kind: bool) -> None:
    """Calls ``init_weights`` of a submodule whose weights were not initialised yet.

    A submodule that is no BaseModule is skipped, unless ``of_any_kind`` is true and the submodule has the method.
    """
    if is_model_wrapper(child) and not hasattr(child, "init_weights"):
        child = child.module
    if not isinstance(child, BaseModule) and not of_any_kind:
        return
    if not hasattr(child, "init_weights") or getattr(child, "is_init", False):
        return
    child.init_weights()
    # BaseModule.init_weights has recorded which parameters its initialisers set. Parameters that a user's own
    # init_weights() set by other means have no entry in the record yet, so the entry is added here.
    if has_record(child):
        info = f"Set in init_weights() of {type(child).__name__}, the user's own"
        update_init_info(child, init_info=info)


class Sequential(BaseModule, nn.Sequential):
    """``nn.Sequential`` whose layers can be initialised by an ``init_cfg``.

    Args:
        *args: modules, or one ordered dictionary of them.
        init_cfg: see :class:`BaseModule`.
    """

    def __init__(self, *args: Any, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.Sequential.__init__(self, *args)


class ModuleList(BaseModule, nn.ModuleList):
    """``nn.ModuleList`` whose modules can be initialised by an ``init_cfg``.

    Args:
        modules: the modules.
        init_cfg: see :class:`BaseModule`.
    """

    def __init__(self, modules: Iterable[nn.Module] | None = None, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleList.__init__(self, modules)


class ModuleDict(BaseModule, nn.ModuleDict):
    """``nn.ModuleDict`` whose modules can be initialised by an ``init_cfg``.

    Args:
        modules: the modules by name.
        init_cfg: see :class:`BaseModule`.
    """

    def __init__(self, modules: dict[str, nn.Module] | None = None, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleDict.__init__(self, modules)
