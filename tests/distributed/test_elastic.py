"""Machines that are lost and join while a run trains: each start goes on exactly where the last one stood.

Two nodes run by default, four with ENG_MESH_ALL=1 (`nox -s mesh`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed_jobs import HERE, run_job

from eng.dist import find_free_port

pytestmark = pytest.mark.timeout(300)
NODES = 4 if os.environ.get("ENG_MESH_ALL") == "1" else 2
SAMPLES, EPOCHS, BATCH = 36, 4, 12  # 12 samples are 3 for each of 4 ranks, 4 for each of 3, and so on
TIMES = "last_call_timeout=3,keep_alive_interval=1,keep_alive_max_attempt=3"
RUN: dict[str, Any] = {
    "max_epochs": EPOCHS,
    "length": SAMPLES,
    "loader": {"global_batch_size": BATCH},
    "checkpoint": {"by_epoch": False, "interval": 1, "max_keep_ckpts": 2},
}


def config_of(options: dict[str, Any]) -> dict[str, Any]:
    """The training job as a config file."""
    loader = {**RUN["loader"], "num_workers": 0}
    train = {**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}}
    val = {**loader, "sampler": {"type": "DefaultSampler", "shuffle": False}}
    return {
        "custom_imports": {"imports": ["elastic_parts"]},
        "model": {"type": "RegressorForTest"},
        "work_dir": options["work_dir"],
        "train_dataloader": {**train, "dataset": {"type": "PointsForTest", "length": SAMPLES}},
        "val_dataloader": {**val, "dataset": {"type": "PointsForTest", "length": 13}},
        "train_cfg": {"by_epoch": True, "max_epochs": EPOCHS, "val_interval": 1},
        "val_cfg": {},
        "val_evaluator": {"type": "MeanErrorForTest"},
        "optim_wrapper": {"optimizer": {"type": "AdamW", "lr": 0.01}, "clip_grad": {"max_norm": 1.0}},
        "param_scheduler": {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 8},
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", **RUN["checkpoint"]}},
        "custom_hooks": [{"type": "RecorderForTest", "options": options}],
        "env_cfg": {"dist_cfg": {"backend": "gloo", "timeout": 60}},
        "randomness": {"seed": 3},
        "log_level": "ERROR",
    }


class Nodes:
    """Calls of `eng train`, each as if it were on a machine of its own; those that run at the end are ended."""

    def __init__(self, folder: Path, config: Path, nnodes: str) -> None:
        self.folder = folder
        self._command = [sys.executable, "-m", "eng.cli", "train", str(config), "--nnodes", nnodes]
        self._port = find_free_port()
        self._command += ["--rdzv", f"127.0.0.1:{self._port}", "--rdzv-conf", TIMES, "--max-restarts=3"]
        self._agents: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Starts one more node, with one process."""
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(HERE)}
        with (self.folder / f"node{len(self._agents)}.txt").open("wb") as log:
            self._agents.append(
                subprocess.Popen(self._command, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
            )

    def serves(self) -> bool:
        """Whether the first node serves the store: on one machine, whichever comes first serves it."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def codes(self) -> list[int | None]:
        return [agent.poll() for agent in self._agents]

    def logs(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("node*.txt")))

    def wait_for(self, condition: Callable[[], bool], limit_s: float = 120) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)

    def end(self) -> None:
        for agent in self._agents:
            if agent.poll() is None:
                agent.terminate()
        for agent in self._agents:
            with contextlib.suppress(subprocess.TimeoutExpired):
                agent.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(agent.pid, signal.SIGKILL)
            agent.wait()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Callable[[dict[str, Any], str], Nodes]]:
    """The nodes that train together."""
    started: list[Nodes] = []

    def start(options: dict[str, Any], nnodes: str) -> Nodes:
        config = tmp_path / "config.json"
        config.write_text(json.dumps(config_of({"work_dir": str(tmp_path / "work"), **options})))
        started.append(Nodes(tmp_path, config, nnodes))
        started[-1].start()
        started[-1].wait_for(started[-1].serves)
        for _ in range(NODES - 1):
            started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.end()


def lines_of(journal: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def test_a_run_whose_nodes_are_lost_and_join_is_that_of_one_process(
    nodes: Callable[[dict[str, Any], str], Nodes], tmp_path: Path
) -> None:
    journal = tmp_path / "journal.jsonl"
    running = nodes({"journal": str(journal), "nodes": NODES, "lose_at": 4, "wait_at": 6}, f"1:{NODES}")
    alone = run_job(HERE / "training_job.py", tmp_path / "alone", 0, RUN)
    running.wait_for(lambda: any(line["world"] == NODES - 1 and line["iter"] == 5 for line in lines_of(journal)))
    running.start()
    running.wait_for(lambda: running.codes().count(0) == NODES)
    assert sorted(running.codes(), key=str) == [-9] + [0] * NODES

    lines = lines_of(journal)
    worlds = [line["world"] for line in lines]
    changes = [world for before, world in zip([0, *worlds], worlds, strict=False) if before != world]
    assert changes == [NODES, NODES - 1, NODES]
    # A step whose node was lost before a checkpoint is repeated: its last occurrence is the one that counts.
    steps = {line["iter"]: line for line in lines}
    assert sorted(steps) == list(range(EPOCHS * SAMPLES // BATCH))
    for epoch in range(EPOCHS):
        seen = sorted(index for line in steps.values() if line["epoch"] == epoch for index in line["samples"])
        assert seen == list(range(SAMPLES)), epoch
    assert [steps[i]["samples"] for i in sorted(steps)] == alone.report["samples"]
    assert [steps[i]["loss"] for i in sorted(steps)] == pytest.approx(alone.report["losses"], rel=1e-5, abs=1e-5)
