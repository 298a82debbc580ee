"""Helpers that only code written for MMEngine imports: results as MMEngine 0.10.7 gives them."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eng.compat.legacy import config_utils, fileio_tables, jit_handles, optimizers
from eng.compat.legacy.visualization_utils import (
    check_length,
    check_type,
    check_type_and_length,
    convert_overlay_heatmap,
    value2list,
)


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


def test_values_are_spread_over_a_list_only_where_they_are_single() -> None:
    assert value2list("r", str, 3) == ["r", "r", "r"]
    assert value2list(["a"], str, 2) == ["a"]
    assert value2list((1, 2), tuple, 2) == [(1, 2), (1, 2)]
    assert value2list(None, str, 2) is None


def test_argument_checks_name_the_argument() -> None:
    check_type("x", "a", (str, list))
    check_length("x", (1,), 3)
    with pytest.raises(TypeError, match="`x` should be <class 'str'>"):
        check_type("x", 3, str)
    with pytest.raises(AssertionError, match="length of x must equal with or greater than 3, but got 1"):
        check_type_and_length("x", ["a"], (str, list), 3)


def test_heatmap_has_the_colours_of_the_reference() -> None:
    pytest.importorskip("cv2")
    ramp = np.arange(12.0).reshape(3, 4)
    assert convert_overlay_heatmap(ramp).ravel()[:9].tolist() == [0, 0, 128, 0, 0, 220, 0, 56, 255]
    over = convert_overlay_heatmap(torch.tensor(ramp), np.full((3, 4, 3), 100, np.uint8), alpha=0.2)
    assert over.ravel()[:9].tolist() == [80, 80, 106, 80, 80, 124, 80, 91, 131]
    with pytest.raises(AssertionError, match="got shape \\(4, 3, 5\\)"):
        convert_overlay_heatmap(np.zeros((4, 3, 5)))


def test_tables_of_packages_and_backends() -> None:
    assert config_utils.MODULE2PACKAGE["mmseg"] == "mmsegmentation"
    assert len(config_utils.MODULE2PACKAGE) == 19
    assert fileio_tables.backends["local"].__name__ == "LocalBackend"
    assert {"local", "http", "lmdb", "memcached", "petrel"} <= set(fileio_tables.backends)
    assert fileio_tables.prefix_to_backends["http"] is fileio_tables.backends["http"]
    assert optimizers.register_sophia_optimizers() == []
    assert {"SGD", "AdamW"} <= set(optimizers.register_torch_optimizers())


def test_json_values_of_arrays_and_sets() -> None:
    assert fileio_tables.set_default(range(3)) == [0, 1, 2]
    assert fileio_tables.set_default(np.ones(2)) == [1.0, 1.0]
    with pytest.raises(TypeError, match="<class 'bytes'> is unsupported for json dump"):
        fileio_tables.set_default(b"x")


CASE = """
import os, unittest
from eng.compat.legacy.testing_internal import MultiProcessTestCase

class TestRanks(MultiProcessTestCase):
    def setUp(self):
        super().setUp()
        self._spawn_processes()
    def test_each_rank_runs(self):
        with open(self.file_name, "a") as file:
            file.write(f"rank {self.rank} of {self.world_size}\\n")
    def test_fails(self):
        if self.rank == 1:
            raise ValueError("rank 1 is wrong")
    def test_skips(self):
        raise unittest.SkipTest("not here")

if __name__ == "__main__":
    unittest.main()
"""


def test_processes_of_a_test_case_report_failures_and_skips(tmp_path: Path) -> None:
    script = tmp_path / "ranks.py"
    script.write_text(CASE)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert "ValueError: rank 1 is wrong" in done.stderr
    assert "FAILED (errors=1, skipped=1)" in done.stderr
