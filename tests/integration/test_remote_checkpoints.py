"""A run whose checkpoints go to S3 while the storage is out of reach for a while."""

from __future__ import annotations

import io
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from eng.fileio import get, list_dir_or_file
from eng.fileio.backends import _resumable, fsspec_backend
from eng.model import BaseModel
from eng.runner import Runner

# Its folder is not put on the path: a stand-in of petrel_client lies there, which other tests would find.
PROXY = Path(__file__).parents[2] / "packages/fileio/tests/helpers/cutting_proxy.py"
CuttingProxy: Any = runpy.run_path(str(PROXY))["CuttingProxy"]
MIB = 1 << 20
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[CuttingProxy]:
    """In front of moto's server, which holds a bucket named ``bucket``."""
    pytest.importorskip("moto")
    s3fs = pytest.importorskip("s3fs")
    serve = (
        "import time\n"
        "from moto.server import ThreadedMotoServer\n"
        "server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)\n"
        "server.start()\n"
        "print(server.get_host_and_port()[1], flush=True)\n"
        "time.sleep(280)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", serve], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    proxy = CuttingProxy(int(process.stdout.readline()))
    try:
        s3fs.S3FileSystem(**options(proxy)).mkdir("bucket")
        yield proxy
    finally:
        proxy.close()
        process.kill()
        process.wait()
        process.stdout.close()


def options(proxy: CuttingProxy) -> dict[str, Any]:
    return {
        "key": "k",
        "secret": "s",
        "endpoint_url": f"http://127.0.0.1:{proxy.port}",
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }


class Wide(BaseModel):
    """Weights of 8 MB, so that a checkpoint has several parts."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2048, 1024, bias=False)

    def forward(self, inputs: Any, mode: str = "tensor") -> Any:
        scores = self.layer(torch.stack(list(inputs)))
        return {"loss": scores.square().mean()}


def train(folder: Path, storage: dict[str, Any]) -> Runner:
    hook = {
        "type": "CheckpointHook",
        "interval": 2,
        "by_epoch": False,
        "out_dir": "s3://bucket",
        "backend_args": storage,
        "async_save": True,
    }
    runner = Runner(
        model={"type": Wide},
        work_dir=str(folder),
        train_dataloader={"batch_size": 2, "dataset": [{"inputs": torch.ones(2048) * n} for n in range(12)]},
        train_cfg={"by_epoch": False, "max_iters": 6},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1}},
        default_hooks={"checkpoint": hook},
        randomness={"seed": 0},
        log_level="ERROR",
    )
    runner.train()
    return runner


def test_a_break_of_the_storage_costs_neither_the_run_nor_a_checkpoint(
    proxy: CuttingProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    pauses = []

    def wait(patience: _resumable.Patience, seconds: float) -> None:
        pauses.append(seconds)
        proxy.mend()

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setattr(fsspec_backend, "PART_BYTES", 5 * MIB)
    monkeypatch.setattr(_resumable.Patience, "_wait", wait)
    proxy.cut_after(12 * MIB)  # in the second checkpoint
    runner = train(tmp_path / "run", options(proxy))
    assert len(pauses) > 0
    folder, storage = "s3://bucket/run", {"backend": "fsspec", **options(proxy)}
    assert sorted(list_dir_or_file(folder, backend_args=storage)) == ["iter_2.pth", "iter_4.pth", "iter_6.pth"]
    states = [
        torch.load(io.BytesIO(get(f"{folder}/iter_{number}.pth", backend_args=storage)), weights_only=True)
        for number in (2, 4, 6)
    ]
    assert [state["meta"]["iter"] for state in states] == [2, 4, 6]
    assert torch.equal(states[-1]["state_dict"]["layer.weight"], runner.model.state_dict()["layer.weight"])
