"""The cost model on paper against the bytes that two gloo processes send."""

from __future__ import annotations

import doctest
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from distributed_jobs import HERE, run_job


def load() -> Any:
    path = HERE.parents[1] / "docs" / "scale_costs.py"
    spec = importlib.util.spec_from_file_location("scale_costs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale_costs"] = module
    spec.loader.exec_module(module)
    return module


def test_its_examples_hold() -> None:
    assert doctest.testmod(load()).failed == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("kind", "name"), [("ddp", "DDP"), ("fsdp", "FSDP2")])
def test_the_bytes_on_the_wire_are_those_on_paper(tmp_path: Path, kind: str, name: str) -> None:
    options = {"measure": "layers", "kind": kind, "width": 1024, "depth": 4, "steps": 3}
    done = run_job(HERE / "scale_job.py", tmp_path, 2, options, timeout=50)
    assert done.code == 0, done.output[-3000:]
    costs = load()
    expected = 2 * costs.sent(costs.Job(4 * 1024**2, 2, gloo=True), name)  # both ranks send through one device
    assert done.report["wire"] == pytest.approx(expected, rel=0.1)
