"""BFloat16OptimWrapper: trains bfloat16 weights without losing updates that are smaller than their precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from eng.checkpoint.dtensor import is_dtensor
from eng.checkpoint.torch_internals import write_count
from eng.optim.errors import OptimError
from eng.registry import OPTIM_WRAPPERS

from .amp_optimizer_wrapper import AmpOptimWrapper

_DROPPED_BITS = 16
# The random generator of an update is seeded with `seed * _SPREAD + number of losses so far`. If _SPREAD was 1, update
# n + 1 of a run with seed 0 would draw the same random numbers as update n of a run with seed 1.
_SPREAD = 2_654_435_761


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(AmpOptimWrapper):
    """Trains a model whose weights are bfloat16, which the setting ``precision=dict(weights="bfloat16")`` converts.

    bfloat16 has 8 bits of precision, so an update below 1/256 of a weight is lost if the new weight is rounded to
    nearest. The optimizer therefore computes in float32, and its moments are float32. The new weight is either rounded
    up or down at random (``update="stochastic"``), or also kept in float32, as a master weight (``update="master"``):

    ======================== ============================== ====================================
    ``update``               weights between steps          float32 in memory during the update
    ======================== ============================== ====================================
    ``"stochastic"``         2 bytes                        4 bytes more for each weight
    ``"master"``             2 bytes, and 4 for the master  nothing more
    ======================== ============================== ====================================

    Random rounding depends only on ``seed`` and the number of the update, so all ranks round the same weight to the
    same value, and so does a resumed run. The forward runs under autocast with bfloat16; gradients are bfloat16.

    Args:
        update: ``"stochastic"`` (default) or ``"master"``; the float32 master weights are saved in checkpoints.
        seed: seed of the random rounding. Defaults to 0.
        **kwargs: arguments of :class:`OptimWrapper`.

    Raises:
        OptimError: ``update`` is unknown, no weight is bfloat16, weights are sharded, or the optimizer holds weights
            outside its ``param_groups``, as ZeroRedundancyOptimizer does.

    Examples:
        >>> weight = torch.nn.Parameter(torch.ones(1000, dtype=torch.bfloat16))
        >>> optim_wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD([weight], lr=0.001))
        >>> optim_wrapper.update_params(weight.sum())  # a step of 0.001, where the next bfloat16 is 0.004 away
        >>> 0.9985 < weight.float().mean() < 0.9995
        tensor(True)

    Source: Zamirai et al. 2020, arXiv:2010.06192 (stochastic rounding); Micikevicius et al. 2017, arXiv:1710.03740 (master
    weights).
    """

    def __init__(self, update: str = "stochastic", seed: int = 0, **kwargs: Any) -> None:
        super().__init__(dtype="bfloat16", **kwargs)
        if update not in ("stochastic", "master"):
            raise OptimError(f"update must be 'stochastic' or 'master', got {update!r}")
        weights = self._weights()
        if not weights:
            raise OptimError("no weight is bfloat16: set precision=dict(weights='bfloat16') in the run's config")
        if any(map(is_dtensor, weights)):
            raise OptimError(
                "BFloat16OptimWrapper takes no sharded weights: FSDP2 with mixed_precision=dict(param_dtype='bfloat16') keeps float32 shards"
            )
        if hasattr(self.optimizer, "consolidate_state_dict"):
            raise OptimError(
                "BFloat16OptimWrapper takes no ZeroRedundancyOptimizer, which holds the weights a second time"
            )
        self.update = update
        self.seed = seed
        # For each bfloat16 weight its float32 master weight, and the version that torch counted for the bfloat16 weight
        # when both were written. Other code that writes to the bfloat16 weight, such as loading a checkpoint, raises
        # the version; the master weight is then outdated and not used any more.
        self._masters: dict[torch.Tensor, tuple[torch.Tensor, int]] = {}

    def step(self, **kwargs: Any) -> None:
        """Updates the weights in float32 and rounds them back to bfloat16.

        Gradients are clipped first, as in :meth:`OptimWrapper.step`.
        """
        weights = [weight for weight in self._weights() if weight.grad is not None]
        with self._in_float32(weights):
            super().step(**kwargs)

    def state_dict(self) -> dict[str, Any]:
        """Returns the optimizer's state, with ``update="master"`` also the float32 weights under ``master_weights``."""
        state = super().state_dict()
        if self.update == "master":
            valid = ((name, self._master_of(weight)) for name, weight in self.named_parameters())
            state["master_weights"] = {str(name): master for name, master in valid if master is not None}
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restores the state of an earlier run.

        Args:
            state_dict: the result of :meth:`state_dict` in the earlier run. If ``master_weights`` is missing, the
                master weights are copied from the model's bfloat16 weights.
        """
        state = dict(state_dict)
        masters = state.pop("master_weights", {})
        self._masters = {}
        super().load_state_dict(state)
        if self.update != "master":
            return
        for name, weight in self.named_parameters():
            if str(name) in masters:
                master = masters[str(name)].to(weight.device, torch.float32, copy=True)
                self._masters[weight] = (master, write_count(weight))

    def _load_optimizer(self, state: dict[str, Any]) -> None:
        # torch casts the loaded moments to the dtype of the optimizer's weights. While the bfloat16 weights are
        # replaced by float32 copies, the moments stay float32.
        with self._in_float32(self._weights(), changes=False):
            super()._load_optimizer(state)

    def _weights(self) -> list[torch.Tensor]:
        groups = self.optimizer.param_groups
        return [weight for group in groups for weight in group["params"] if weight.dtype is torch.bfloat16]

    def _master_of(self, weight: torch.Tensor) -> torch.Tensor | None:
        """Returns the float32 master weight of a bfloat16 weight.

        The result is None if the bfloat16 weight has no master weight, or was changed by other code since the last
        update. A write through ``weight.data`` is not counted by torch; so elements in which the rounded master weight
        differs from the bfloat16 weight are taken from the bfloat16 weight.
        """
        master, version = self._masters.get(weight, (None, -1))
        if master is None or version != write_count(weight) or master.device != weight.device:
            return None
        # torch.where selects the elements on the device, so the host does not wait for a comparison.
        detached = weight.detach()
        return torch.where(master.to(weight.dtype) == detached, master, detached.float())

    @contextmanager
    def _in_float32(self, weights: list[torch.Tensor], *, changes: bool = True) -> Iterator[None]:
        """Replaces the optimizer's bfloat16 weights and gradients by float32 copies within the ``with`` block.

        After the block the float32 results are rounded into the bfloat16 weights. Only the optimizer sees the copies:
        the model's own parameters are not converted, since a parameter whose dtype changes would lose the hook by which
        DistributedDataParallel averages gradients.

        Args:
            weights: the bfloat16 weights to replace.
            changes: whether the block changes the float32 copies. With False the bfloat16 weights are not written.

        Raises:
            OptimError: the optimizer wrote to the bfloat16 weights in the block, instead of to the float32 copies.
        """
        wide: dict[torch.Tensor, torch.Tensor] = {}
        for weight in weights:
            master = self._master_of(weight)
            if master is None:
                master = weight.detach().float()
            wide[weight] = nn.Parameter(master)
            if weight.grad is not None:
                wide[weight].grad = weight.grad.float()
        versions = [write_count(weight) for weight in weights]
        self._exchange(wide)
        try:
            yield
        finally:
            self._exchange({value: weight for weight, value in wide.items()})
        if versions != [write_count(weight) for weight in weights]:
            raise OptimError(
                f"BFloat16OptimWrapper gives float32 weights through param_groups, and {type(self.optimizer).__name__} wrote the "
                "bfloat16 ones: take an optimizer that holds weights in its param_groups alone"
            )
        if changes:
            generators: dict[torch.device, torch.Generator] = {}
            for weight, value in wide.items():
                self._round(weight, value.detach(), generators)

    def _exchange(self, by: Mapping[torch.Tensor, torch.Tensor]) -> None:
        """Replaces each parameter of the optimizer that is a key of ``by`` by the value, in groups and in the state."""
        for group in self.optimizer.param_groups:
            group["params"][:] = [by.get(parameter, parameter) for parameter in group["params"]]
        state = getattr(self.optimizer, "state", {})
        for old, new in by.items():
            if old in state:
                state[new] = state.pop(old)

    def _round(self, weight: torch.Tensor, wide: torch.Tensor, generators: dict[torch.device, torch.Generator]) -> None:
        """Writes the float32 result ``wide`` of an update into its bfloat16 weight.

        With ``update="master"`` the result is rounded to nearest and kept as the master weight; otherwise the result is
        rounded up or down at random. ``generators`` has the random generator of this update for each device.
        """
        with torch.no_grad():
            if self.update == "master":
                weight.copy_(wide)
                self._masters[weight] = (wide, write_count(weight))
                return
            if wide.device not in generators:
                # The random generator of a CPU uses only 32 bits of a seed, so the seed is reduced to 32 bits for all
                # devices.
                seed = (self.seed * _SPREAD + self._inner_count) % 2**32
                generators[wide.device] = torch.Generator(wide.device).manual_seed(seed)
            weight.copy_(_round_at_random(wide, generators[wide.device]))


def _round_at_random(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Rounds float32 values to bfloat16, up or down at random, so that the expected result is the float32 value.

    A value that lies at the fraction p of the way from the next lower bfloat16 number to the next higher one is rounded
    up with probability p.
    """
    # bfloat16 has the upper 16 bits of a float32. A random 16-bit number is added to the lower 16 bits, and a carry
    # into the upper bits rounds the value up; then the lower bits are cleared.
    noise = torch.randint(
        0, 1 << _DROPPED_BITS, values.shape, dtype=torch.int32, device=values.device, generator=generator
    )
    bits = (values.contiguous().view(torch.int32) + noise) & -(1 << _DROPPED_BITS)
    return torch.where(values.isfinite(), bits.view(torch.float32), values).to(torch.bfloat16)
