"""Attention over a sequence split across ranks: each rank keeps its queries, and gathers all ranks' keys and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as torch_dist
from torch.distributed import ProcessGroup
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ..errors import SettingsError

_SEQUENCE = -2  # The sequence dimension of queries, keys and values, whose shape is (..., position, feature).


class SequenceAttention(TorchFunctionMode):
    """A context in which ``scaled_dot_product_attention`` attends to the complete sequence that several ranks share.

    Each rank holds an equal, consecutive part of the sequence, in the order of the ranks in `group`. A causal mask, and
    a mask whose last dimension is as long as the complete sequence, refer to positions in the complete sequence. With
    activation checkpointing, attention that the backward pass recomputes also attends to the complete sequence.

    Args:
        group: process group of the ranks that share a sequence.

    Attributes:
        calls: number of calls of ``scaled_dot_product_attention`` inside this context. The code that enters the context
            may set the number back to 0.
    """

    def __init__(self, group: ProcessGroup) -> None:
        super().__init__()
        self.calls = 0
        self._group = group
        self._size, self._index = torch_dist.get_world_size(group), torch_dist.get_rank(group)

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Calls a function of torch; attention gets the keys and values of all ranks.

        Raises a SettingsError for ``multi_head_attention_forward``, whose inner attention torch does not pass to a
        mode.
        """
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
        """Runs a backward pass while this object intercepts attention, which checkpointed layers compute again there."""
        if gradient is None:
            gradient = torch.ones_like(loss)
        # torch.autograd.backward leaves this context if its argument is a tensor, but not if it is a graph edge.
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
        """Computes attention of this rank's queries to the gathered keys and values; the arguments are those of torch.

        Causal attention without a mask drops the keys of later ranks, which this rank's queries must not see.
        """
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
        """Returns this rank's rows of the causal mask, up to the last key that its queries may see.

        The mask is a ``causal_lower_right`` bias, for which GPU kernels need no mask matrix in memory.
        """
        from torch.nn.attention.bias import causal_lower_right

        if queries != keys:
            raise SettingsError(
                f"causal attention over a shared sequence needs as many queries as keys on each rank, got {queries} and {keys}"
            )
        mask: torch.Tensor = causal_lower_right(queries, (self._index + 1) * keys)
        return mask

    def _whole_mask(self, mask: torch.Tensor, queries: int, keys: int) -> torch.Tensor:
        """Returns a mask with one column for each key of all ranks.

        A mask that already has these columns is returned unchanged; a mask of one row for this rank's keys is gathered.
        """
        rows, columns = mask.shape[-2:]
        if rows in (1, queries) and columns in (1, self._size * keys):
            return mask
        if rows == 1 and columns == keys:
            if mask.dtype == torch.bool:  # Not every communication backend can gather bool tensors.
                return gather_parts(mask.to(torch.uint8), -1, self._group).bool()
            return gather_parts(mask, -1, self._group)
        raise SettingsError(
            f"an attention mask of {rows} rows and {columns} columns does not fit a sequence of {self._size * keys} positions, "
            f"of which this rank has {queries}: give {queries} rows (the mask of the whole sequence, its rows split by "
            f"context=dict(inputs=...)) and {self._size * keys} columns, one row for all queries, or is_causal=True without a "
            "mask. A mask that a model makes from its part of the sequence lacks the columns of the other ranks"
        )


def gather_parts(part: torch.Tensor, dim: int, group: ProcessGroup) -> torch.Tensor:
    """Concatenates the tensors of all ranks along `dim`, in the order of the ranks (a differentiable all-gather).

    In the backward pass, the gradients of all ranks are summed, and each rank gets the slice of its own part.

    Args:
        part: tensor of this rank, with the same shape on all ranks.
        dim: dimension along which the parts are concatenated.
        group: process group of the ranks.
    """
    gathered: torch.Tensor = _GatherParts.apply(part, dim, group)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return gathered


class _GatherParts(torch.autograd.Function):
    """All-gather along one dimension in the forward pass; reduce-scatter of the gradient in the backward pass."""

    @staticmethod
    def forward(ctx: Any, part: torch.Tensor, dim: int, group: ProcessGroup) -> torch.Tensor:
        """Returns the parts of all ranks, concatenated along ``dim``; torch gathers along dimension 0."""
        ctx.dim, ctx.group = dim, group
        rows = part.movedim(dim, 0).contiguous()
        gathered = rows.new_empty((len(rows) * torch_dist.get_world_size(group), *rows.shape[1:]))
        torch_dist.all_gather_into_tensor(gathered, rows, group=group)
        return gathered.movedim(0, dim)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Returns the gradient of this rank's part, summed over all ranks; ``dim`` and ``group`` have no gradient."""
        rows = gradients[0].movedim(ctx.dim, 0).contiguous()
        part = rows.new_empty((len(rows) // torch_dist.get_world_size(ctx.group), *rows.shape[1:]))
        torch_dist.reduce_scatter_tensor(part, rows, group=ctx.group)
        return part.movedim(0, ctx.dim), None, None
