"""The cost model on paper against the bytes that two gloo processes send."""

from __future__ import annotations

import doctest
import importlib.util
import subprocess
import sys
from typing import Any

import pytest
from distributed_jobs import HERE, run_job

HAS_DEEPSPEED = importlib.util.find_spec("deepspeed") is not None
WIDTH = 512


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


def test_the_command_takes_every_number_of_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = "--parameters 1e8 --ranks 4 --largest-unit 5e6 --largest-parameter 1e6 --bucket 2e6 --states 1 --width 2"
    monkeypatch.setattr(sys, "argv", ["scale_costs.py", *options.split()])
    load().main()
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines()[1:])
    values = {kind: [float(text) for text in rest.split()] for kind, rest in lines.items()}
    assert values["DDP"] == [0.806, 0.3]  # (4 · 1e8 + 3 · 1e6) · 2 and 2 · 3/4 · 1e8 · 2 bytes
    assert values["FSDP2"] == [0.18, 0.45]  # (3/4 · 1e8 + 3 · 5e6) · 2
    assert values["ZeRO-1"] == [0.504, 0.3]  # (2.5 · 1e8 + 2e6) · 2


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    kinds = ["ddp", "fsdp", "fsdp, kept", *(["zero1", "zero2", "zero3"] if HAS_DEEPSPEED else [])]
    options = {"measure": "layers", "kinds": kinds, "width": WIDTH, "depth": 4, "steps": 3}
    done = run_job(HERE / "scale_job.py", tmp_path_factory.mktemp("costs"), 2, options, timeout=180)
    assert done.code == 0, done.output[-3000:]
    return done.report


KINDS = [
    ("ddp", "DDP"),
    ("fsdp", "FSDP2"),
    ("fsdp, kept", "FSDP2, kept after forward"),
    *(
        pytest.param(f"zero{i}", f"ZeRO-{i}", marks=pytest.mark.skipif(not HAS_DEEPSPEED, reason="needs deepspeed"))
        for i in (1, 2, 3)
    ),
]


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_the_bytes_on_the_wire_are_those_on_paper(measured: dict[str, Any], kind: str, name: str) -> None:
    costs = load()
    expected = 2 * costs.sent(costs.Job(4 * WIDTH**2, 2, gloo=True), name)  # both ranks send through one device
    assert measured[kind]["wire"] == pytest.approx(expected, rel=0.1)


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_the_tensors_of_a_rank_are_those_on_paper(measured: dict[str, Any], kind: str, name: str) -> None:
    costs = load()
    expected = costs.kept(costs.Job(4 * WIDTH**2, 2), name)
    assert measured[kind]["kept"] == pytest.approx(expected, rel=0.01)


@pytest.mark.timeout(200)
def test_the_peak_of_a_rank_is_that_on_paper(measured: dict[str, Any]) -> None:
    costs = load()
    expected = costs.memory(costs.Job(4 * WIDTH**2, 2, largest_parameter=WIDTH**2), "DDP")
    bucket = 4 * 4 * WIDTH**2  # gloo may still send a copy of the gradients when the peak comes
    assert 0.99 * expected <= measured["ddp"]["peak"] <= 1.01 * (expected + bucket)


def test_the_peak_of_fsdp_is_that_of_the_page_where_the_exchange_makes_no_copies() -> None:
    command = [sys.executable, str(HERE / "fsdp_peak.py"), "32", "512"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    costs = load()
    job = costs.Job(32 * 512 * 512, 2, largest_unit=512 * 512)
    expected = costs.memory(job, "FSDP2") / (job.parameters * 4)
    assert float(done.stdout.split()[-1]) == pytest.approx(expected, rel=0.01)
