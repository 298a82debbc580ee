"""Counts of the handles that only code written for MMEngine imports, as MMEngine 0.10.7 gives them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from eng.compat.legacy import jit_handles


def shaped(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


@pytest.mark.parametrize(
    ("handle", "inputs", "outputs", "flops"),
    [
        (jit_handles.addmm_flop_jit, [shaped(5), shaped(3, 4), shaped(4, 5)], [], 60),
        (jit_handles.bmm_flop_jit, [shaped(2, 3, 4), shaped(2, 4, 5)], [], 120),
        (jit_handles.linear_flop_jit, [shaped(2, 3, 4), shaped(7, 4)], [], 168),
        (jit_handles.matmul_flop_jit, [shaped(4), shaped(4, 5)], [], 20),
        (jit_handles.matmul_flop_jit, [shaped(2, 1, 3, 4), shaped(5, 4, 6)], [], 144),
        (
            jit_handles.conv_flop_jit,
            [shaped(2, 4, 9, 8), shaped(6, 2, 3, 3), *[None] * 4, False],
            [shaped(2, 6, 7, 6)],
            Counter(conv=9072),
        ),
        (
            jit_handles.conv_flop_jit,
            [shaped(2, 4, 5, 6), shaped(4, 6, 3, 3), *[None] * 4, True],
            [],
            Counter(conv=12960),
        ),
        (jit_handles.einsum_flop_jit, ["nctkv,kvw->nctw", [shaped(2, 3, 4, 5, 6), shaped(5, 6, 7)]], [], 5040),
        (jit_handles.batchnorm_flop_jit, [shaped(2, 4, 3, 3), shaped(4), *[None] * 3, True], [], 360),
        (jit_handles.batchnorm_flop_jit, [shaped(2, 4, 3, 3), None, *[None] * 3, False], [], 72),
        (jit_handles.norm_flop_counter(2), [shaped(3, 5), None, shaped(5)], [], 75),
        (jit_handles.elementwise_flop_counter(0, 4), [shaped(1)], [shaped(2, 3, 8, 8)], 1536),
        (jit_handles.generic_activation_jit("conv"), [], [shaped(2, 3)], Counter(conv=6)),
    ],
)
def test_handle_counts_as_the_reference(handle: Any, inputs: list[Any], outputs: list[Any], flops: Any) -> None:
    if not outputs and handle is jit_handles.conv_flop_jit:
        outputs = [shaped(2, 6, 11, 13)]
    assert handle(inputs, outputs) == flops
