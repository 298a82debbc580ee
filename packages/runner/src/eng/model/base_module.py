"""Modules that initialise themselves by config."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from ._init_record import end_record, start_record, update_init_info, write_record
from .weight_init import PretrainedInit, initialize
from .wrappers.utils import is_model_wrapper

logger = logging.getLogger(__name__)


class BaseModule(nn.Module):
    """A module with an ``init_cfg``.

    Args:
        init_cfg: config of an initialiser, or a list of them; see :func:`eng.model.initialize`. ``Pretrained`` runs
            after all others, and after the children's.

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

    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__()
        self._is_init = False
        self.init_cfg = copy.deepcopy(init_cfg)

    @property
    def is_init(self) -> bool:
        """Whether the weights were initialised, so that a parent does not do it again."""
        return self._is_init

    @is_init.setter
    def is_init(self, value: bool) -> None:
        self._is_init = value

    def init_weights(self) -> None:
        """Initialises the weights: by ``init_cfg``, then the children's, then from a checkpoint.

        The outermost call writes to the log file which initialiser touched each parameter.

        Raises:
            TypeError: ``init_cfg`` is no mapping or list of mappings.
        """
        outermost = not hasattr(self, "_params_init_info")
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
        first, pretrained = _split(self.init_cfg)
        if self.init_cfg:
            logger.debug("initialize %s with init_cfg %s", type(self).__name__, self.init_cfg)
            initialize(self, first)
        for child in self.children():
            _initialize_child(child)
        if pretrained:
            initialize(self, pretrained)

    def __repr__(self) -> str:
        text = super().__repr__()
        return f"{text}\ninit_cfg={self.init_cfg}" if self.init_cfg else text


def _split(init_cfg: Any) -> tuple[list[Any], list[Any]]:
    """The initialisers to run before the children's, and after."""
    first: list[Any] = []
    pretrained: list[Any] = []
    if init_cfg is not None and not isinstance(init_cfg, (Mapping, list, tuple)):
        raise TypeError(f"init_cfg takes one dict, or several in a list, got {type(init_cfg).__name__}: {init_cfg!r}")
    for cfg in [init_cfg] if isinstance(init_cfg, Mapping) else init_cfg or []:
        if not isinstance(cfg, Mapping):
            raise TypeError(
                f"init_cfg takes one dict, or several in a list, got a list with {type(cfg).__name__}: {cfg!r}"
            )
        kind = cfg.get("type")
        (pretrained if kind in ("Pretrained", "PretrainedInit") or kind is PretrainedInit else first).append(cfg)
    return first, pretrained


def _initialize_child(child: Any) -> None:
    if is_model_wrapper(child) and not hasattr(child, "init_weights"):
        child = child.module
    if not hasattr(child, "init_weights") or getattr(child, "is_init", False):
        return
    child.init_weights()
    if hasattr(child, "_params_init_info"):  # a user's own init_weights() leaves no note by itself
        info = f"Set in init_weights() of {type(child).__name__}, the user's own"
        update_init_info(child, init_info=info)


class Sequential(BaseModule, nn.Sequential):
    """``nn.Sequential`` with an ``init_cfg``.

    Args:
        *args: modules, or one ordered dictionary of them.
        init_cfg: see :class:`BaseModule`.
    """

    def __init__(self, *args: Any, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.Sequential.__init__(self, *args)


class ModuleList(BaseModule, nn.ModuleList):
    """``nn.ModuleList`` with an ``init_cfg``.

    Args:
        modules: the modules.
        init_cfg: see :class:`BaseModule`.
    """

    def __init__(self, modules: Iterable[nn.Module] | None = None, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleList.__init__(self, modules)


class ModuleDict(BaseModule, nn.ModuleDict):
    """``nn.ModuleDict`` with an ``init_cfg``.

    Args:
        modules: the modules by name.
        init_cfg: see :class:`BaseModule`.
    """

    def __init__(self, modules: dict[str, nn.Module] | None = None, init_cfg: Any = None) -> None:
        BaseModule.__init__(self, init_cfg)
        nn.ModuleDict.__init__(self, modules)
