"""Models of transformers and timm whose layers or sequences two ranks share train as on one process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")
pytest.importorskip("timm")

DRIVER = Path(__file__).with_name("tensor_parallel_ranks.py")
MLP_ONLY = ("gpt2", "vit_tiny_patch16_224", "deit_tiny_patch16_224", "swin_tiny_patch4_window7_224")
QUICK = ("qwen3", "gpt2", "bert", "vit_tiny_patch16_224", "gpt2 in context")
MORE = (
    "llama",
    "llama in context",
    "qwen3 in context",
    "llama tied",
    "gemma2",
    "olmo2",
    "vit",
    "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
)
NAMES = (*QUICK, *MORE) if os.environ.get("ENG_OUTSIDE_ALL") == "1" else QUICK

pytestmark = pytest.mark.timeout(240)


def run(folder: Path, *launcher: str) -> dict[str, Any]:
    report, log = folder / "report.json", folder / "log.txt"
    folder.mkdir()
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *launcher, str(DRIVER), str(report), *NAMES],
            env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(200)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert code == 0, log.read_text()[-4000:]
    loaded: dict[str, Any] = json.loads(report.read_text())
    return loaded


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The models by name, trained on one process and on two ranks."""
    folder = tmp_path_factory.mktemp("tensor")
    torchrun = (
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=localhost:0",
    )
    return run(folder / "one"), run(folder / "two", *torchrun)


@pytest.mark.parametrize("name", NAMES)
def test_layers_shared_by_two_ranks_give_the_numbers_of_one_process(reports: Any, name: str) -> None:
    alone, shared = reports[0][name], reports[1][name]
    assert not alone["split"]
    assert_same(alone, shared)
    if " in context" in name:
        assert not shared["split"]
        return
    parts = {parameter.rpartition(".")[0].rpartition(".")[2] for parameter in shared["split"]}
    assert (parts <= {"fc1", "fc2", "c_fc", "c_proj"}) == (name in MLP_ONLY)


def assert_same(alone: dict[str, Any], shared: dict[str, Any]) -> None:
    assert shared["losses"] == pytest.approx(alone["losses"], abs=2e-6)
    assert shared["norms"] == pytest.approx(alone["norms"], abs=3e-6)
    assert list(shared["weights"]) == list(alone["weights"])
    for key, value in alone["weights"].items():
        assert shared["weights"][key] == pytest.approx(value, abs=1e-6), key
    assert alone["losses"][0] != alone["losses"][-1]
