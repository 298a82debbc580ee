"""Attention over a sequence that ranks share: each rank has its queries, and gathers keys and values of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as torch_dist
from torch.distributed import ProcessGroup
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ..errors import SettingsError

_SEQUENCE = -2  # of queries, keys and values, whose shape is (..., position, feature)


class SequenceAttention(TorchFunctionMode):
    """Inside this context, ``scaled_dot_product_attention`` sees the whole sequence.

    Ranks hold equal, consecutive parts of the sequence in the order of their numbers in `group`. A causal mask and a mask
    with a column for each key of all ranks count in the positions of the whole sequence. Activations that a backward
    computes again see it too.

    Args:
        group: the ranks that share a sequence.

    Attributes:
        calls: attentions that were computed over the group.
    """

    def __init__(self, group: ProcessGroup) -> None:
        super().__init__()
        self.calls = 0
        self._group = group
        self._size, self._index = torch_dist.get_world_size(group), torch_dist.get_rank(group)

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Calls a function of torch, with the sequence of all ranks where it is attention."""
        keywords: Mapping[str, Any] = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            self.calls += 1
            return self._attend(*args, **keywords)
        if func is functional.multi_head_attention_forward:
            raise SettingsError(
                "context parallelism reaches attention in torch.nn.functional.scaled_dot_product_attention, and "
                "nn.MultiheadAttention calls it where no mode of torch sees the call: project query, key and value yourself "
                "and call scaled_dot_product_attention (docs/scale.md)"
            )
        if func is torch.Tensor.backward and args[0].requires_grad:
            return self._backward(*args, **keywords)
        return func(*args, **keywords)

    def _backward(self, loss: torch.Tensor, gradient: torch.Tensor | None = None, **options: Any) -> None:
        """The backward of a loss inside this context, where layers that are checkpointed run their forward again."""
        if gradient is None:
            gradient = torch.ones_like(loss)
        # For a tensor, torch leaves this context; an edge of the graph is no tensor.
        edge = torch.autograd.graph.get_gradient_edge(loss)
        with self:
            torch.autograd.backward(edge, gradient, **options)

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        **options: Any,
    ) -> torch.Tensor:
        queries, keys = query.size(_SEQUENCE), key.size(_SEQUENCE)
        keys_of_all = gather_parts(key, _SEQUENCE, self._group)
        values_of_all = gather_parts(value, _SEQUENCE, self._group)
        if is_causal and attn_mask is None:
            attn_mask, is_causal = self._causal_mask(queries, keys), False
            keys_of_all = keys_of_all.narrow(_SEQUENCE, 0, (self._index + 1) * keys)
            values_of_all = values_of_all.narrow(_SEQUENCE, 0, (self._index + 1) * keys)
        elif attn_mask is not None:
            attn_mask = self._whole_mask(attn_mask, queries, keys)
        return functional.scaled_dot_product_attention(
            query, keys_of_all, values_of_all, attn_mask, dropout_p, is_causal, **options
        )

    def _causal_mask(self, queries: int, keys: int) -> torch.Tensor:
        """The rows of this rank in a causal mask, up to the last column that they see; kernels of GPUs need no matrix for it."""
        from torch.nn.attention.bias import causal_lower_right

        if queries != keys:
            raise SettingsError(
                f"causal attention over a shared sequence needs as many queries as keys on each rank, got {queries} and {keys}"
            )
        mask: torch.Tensor = causal_lower_right(queries, (self._index + 1) * keys)
        return mask

    def _whole_mask(self, mask: torch.Tensor, queries: int, keys: int) -> torch.Tensor:
        """The mask with a column for each key of all ranks."""
        rows, columns = mask.shape[-2:]
        if rows in (1, queries) and columns in (1, self._size * keys):
            return mask
        if rows == 1 and columns == keys:
            if mask.dtype == torch.bool:  # no backend reduces or gathers it everywhere
                return gather_parts(mask.to(torch.uint8), -1, self._group).bool()
            return gather_parts(mask, -1, self._group)
        raise SettingsError(
            f"an attention mask of {rows} rows and {columns} columns does not fit a sequence of {self._size * keys} positions, "
            f"of which this rank has {queries}: give {queries} rows (the mask of the whole sequence, its rows split by "
            f"context=dict(inputs=...)) and {self._size * keys} columns, one row for all queries, or is_causal=True without a "
            "mask. A mask that a model makes from its part of the sequence lacks the columns of the other ranks"
        )


def gather_parts(part: torch.Tensor, dim: int, group: ProcessGroup) -> torch.Tensor:
    """The parts of all ranks, one after another along `dim`; a gradient goes back to the rank of its part, summed.

    Args:
        part: of the same shape on all ranks.
        dim: the dimension along which the parts lie.
        group: the ranks.
    """
    gathered: torch.Tensor = _GatherParts.apply(part, dim, group)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return gathered


class _GatherParts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: torch.Tensor, dim: int, group: ProcessGroup) -> torch.Tensor:
        ctx.dim, ctx.group = dim, group
        rows = part.movedim(dim, 0).contiguous()
        gathered = rows.new_empty((len(rows) * torch_dist.get_world_size(group), *rows.shape[1:]))
        torch_dist.all_gather_into_tensor(gathered, rows, group=group)
        return gathered.movedim(0, dim)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        rows = gradients[0].movedim(ctx.dim, 0).contiguous()
        part = rows.new_empty((len(rows) // torch_dist.get_world_size(ctx.group), *rows.shape[1:]))
        torch_dist.reduce_scatter_tensor(part, rows, group=ctx.group)
        return part.movedim(0, ctx.dim), None, None
