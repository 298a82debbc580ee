"""Runs that write to real trackers: a server of MLflow, event files of TensorBoard, offline files of Weights & Biases."""

from __future__ import annotations

import contextlib
import http.server
import importlib.util
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

from eng.cli import main

SCRIPT = Path(__file__).with_name("tracked_run.py")
LOCAL = {"type": "LocalVisBackend"}
ITERATIONS, EPOCHS = 12, 3


def start(
    work_dir: Path, backends: list[dict], *args: str, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `tracked_run.py` with all that it prints in `stdout`; helper processes that a tracker left behind are ended.

    The output goes to a file and not to a pipe: ClearML forks a process that keeps a pipe open beyond a killed run.
    """
    work_dir.parent.mkdir(parents=True, exist_ok=True)
    with (work_dir.parent / f"{work_dir.name}-output.txt").open("w+") as output:
        run = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SCRIPT), str(work_dir), json.dumps(backends), *args],
            env={**os.environ, "OMP_NUM_THREADS": "1", "WANDB_SILENT": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", **env},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, start_new_session=True,
        )  # fmt: skip
        try:
            status = run.wait(240)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        output.seek(0)
        done = subprocess.CompletedProcess(run.args, status, stdout=output.read())
    assert status in (0, -9), done.stdout[-3000:]
    return done


def interrupted(work_dir: Path, backends: list[dict], **options: Any) -> Path:
    """A run that is killed in iteration 8 and goes on; the folder of its newest start."""
    assert start(work_dir, backends, "--kill-at", "8", **options).returncode == -9
    time.sleep(1.1)  # starts are named by the second
    assert start(work_dir, backends, "--resume", **options).returncode == 0
    return newest(work_dir)


def newest(work_dir: Path) -> Path:
    return max(path for path in work_dir.iterdir() if path.is_dir())


def written(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What the local lines hold: the truth that each tracker is compared with."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for text in (folder / "vis_data" / "scalars.json").read_text().splitlines():
        line = json.loads(text)
        for name in ("loss", "error", "lr"):
            if name in line:
                curves.setdefault(name, []).append((line["step"], line[name]))
    return curves


def check_whole(curves: dict[str, list[tuple[int, float]]], truth: dict[str, list[tuple[int, float]]]) -> None:
    assert [step for step, _ in truth["loss"]] == list(range(1, ITERATIONS + 1))
    assert [step for step, _ in truth["error"]] == list(range(1, EPOCHS + 1))
    for name, points in truth.items():
        assert [step for step, _ in curves[name]] == [step for step, _ in points], name
        assert [value for _, value in curves[name]] == pytest.approx([value for _, value in points], rel=1e-6), name


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# --- MLflow ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory):
    pytest.importorskip("mlflow", reason="needs eng-runner[mlflow]")
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    server = subprocess.Popen(
        [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{folder}/store.db", "--artifacts-destination", str(folder / "artifacts"),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
    )  # fmt: skip
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, "mlflow server ended"
                time.sleep(0.2)
        yield uri
    finally:
        os.killpg(server.pid, 9)  # nothing of it is needed any more, and its own shutdown waits for its workers
        server.wait(20)


def mlflow_curves(uri: str, experiment: str):
    """Curves and tags of the newest run of an experiment, read through the client."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    run = max(runs, key=lambda found: found.info.start_time)
    history = {
        name: sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }
    return history, run


@pytest.fixture(scope="module")
def killed(tmp_path_factory, mlflow_server) -> Path:
    """The newest start of a run that was killed and went on, with all trackers at once."""
    pytest.importorskip("wandb", reason="needs eng-runner[wandb]")
    mlflow = {"type": "MLflowVisBackend", "tracking_uri": mlflow_server, "exp_name": "killed", "run_name": "net"}
    wandb = {"type": "WandbVisBackend", "init_kwargs": {"mode": "offline", "project": "p"}}
    return interrupted(tmp_path_factory.mktemp("net"), [LOCAL, mlflow, wandb, {"type": "TensorboardVisBackend"}])


@pytest.mark.timeout(150)
def test_mlflow_has_the_whole_curves_of_a_killed_run(killed, mlflow_server) -> None:
    curves, run = mlflow_curves(mlflow_server, "killed")
    check_whole(curves, written(killed))
    assert run.data.tags["axis.error"] == "epoch"
    assert "axis.loss" not in run.data.tags
    assert run.info.status == "FINISHED"
    assert [step for step, _ in curves["val/time"]] == [1, 2, 3]


@pytest.mark.timeout(120)
def test_a_tracker_that_answers_500_is_dropped_and_made_up_for_by_sync(tmp_path, mlflow_server) -> None:
    class Broken(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(500)

        do_GET = do_POST

        def log_message(self, *args) -> None:
            pass

    broken = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=broken.serve_forever, daemon=True).start()
    uri = f"http://127.0.0.1:{broken.server_address[1]}"
    done = start(tmp_path, [{"type": "MLflowVisBackend", "tracking_uri": uri, "exp_name": "late"}])
    broken.shutdown()
    told = done.stdout
    assert told.count("is tried again") == 1
    assert told.count("is dropped for the rest of this run") == 1
    assert "eng sync" in told
    words = ["sync", str(tmp_path), "--to", "mlflow", "--option", f"tracking_uri={mlflow_server}"]
    assert main(words) == 0  # the experiment's name comes from the run's config
    check_whole(mlflow_curves(mlflow_server, "late")[0], written(newest(tmp_path)))


def test_a_second_try_leaves_each_point_once_in_sqlite(tmp_path) -> None:
    pytest.importorskip("mlflow", reason="needs eng-runner[mlflow]")
    from eng.visualization import MLflowVisBackend
    from eng.visualization.curves import Line

    tracker = MLflowVisBackend(str(tmp_path), exp_name="twice")
    lines = [Line({"loss": 1 / step}, step, "iter", step, "train") for step in range(1, 1201)]
    tracker.replay(lines)
    tracker.replay(lines)
    tracker.close()
    curves, _ = mlflow_curves(f"sqlite:///{tmp_path / 'mlflow.db'}", "twice")
    assert [step for step, _ in curves["loss"]] == list(range(1, 1201))


# --- TensorBoard and Weights & Biases ----------------------------------------------------------------------------


def test_tensorboard_has_the_whole_curves_of_a_killed_run(killed) -> None:
    check_whole(event_curves(killed / "vis_data"), written(killed))


def test_wandb_has_the_whole_curves_of_a_killed_run(killed) -> None:
    truth, rows = written(killed), wandb_rows(killed / "vis_data")
    curves = {name: [(int(row["step"]), row[name]) for row in rows if name in row] for name in truth}
    check_whole(curves, truth)
    over_epochs = [row for row in rows if "error" in row]
    assert [row["epoch"] for row in over_epochs] == [1, 2, 3]


def event_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return {name: [(p.step, p.value) for p in found.Scalars(name)] for name in found.Tags()["scalars"]}


def wandb_rows(folder: Path) -> list[dict]:
    """The history in wandb's own file: records of its protocol in a log of LevelDB's format."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.rglob("run-*.wandb")
    rows = []
    for data in leveldb_records(path.read_bytes()[7:]):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items})
    return rows


def leveldb_records(log: bytes, offset: int = 7, block: int = 32768):
    """Whole records (https://github.com/google/leveldb/blob/main/doc/log_format.md); the file begins with 7 bytes of its own."""
    at, parts = 0, b""
    while at + 7 <= len(log):
        left = block - (at + offset) % block
        if left < 7:  # the end of a block is padded
            at += left
            continue
        size, kind = int.from_bytes(log[at + 4 : at + 6], "little"), log[at + 6]
        parts += log[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield parts
            parts = b""


# --- the others --------------------------------------------------------------------------------------------------


OTHERS = {
    "dvclive": ("DVCLiveVisBackend", {}),
    "aim": ("AimVisBackend", {}),
    "clearml": ("ClearMLVisBackend", {"init_kwargs": {"project_name": "p", "task_name": "net"}}),
    "neptune": ("NeptuneVisBackend", {"init_kwargs": {"mode": "offline"}}),
    "comet_ml": ("CometVisBackend", {"init_kwargs": {"project_name": "p", "workspace": "w", "log_env_details": False}}),
    "swanlab": ("SwanLabVisBackend", {}),
    "trackio": ("TrackioVisBackend", {"init_kwargs": {"project": "p", "embed": False, "auto_log_gpu": False}}),
}


@pytest.fixture(scope="module")
def killed_beside_others(tmp_path_factory) -> Path:
    """As `killed`, with those of the other trackers that are installed, in a folder of its own: some write into that."""
    folder = tmp_path_factory.mktemp("others")
    backends = [
        {"type": kind, **options} for package, (kind, options) in OTHERS.items() if importlib.util.find_spec(package)
    ]
    env = {
        "CLEARML_OFFLINE_MODE": "1",
        "CLEARML_CACHE_DIR": str(folder / "clearml"),
        "TRACKIO_DIR": str(folder / "trackio"),
    }
    return interrupted(folder / "run", [LOCAL, *backends], cwd=folder, **env)


@pytest.mark.timeout(500)
@pytest.mark.parametrize("package", OTHERS)
def test_trackers_that_are_installed_have_the_whole_curves_of_a_killed_run(request, package) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed here")
    newest = request.getfixturevalue("killed_beside_others")
    check_whole(READERS[package](newest), written(newest))


def dvclive_curves(newest: Path) -> dict[str, list[tuple[int, float]]]:
    """A table of steps and values for each curve."""
    curves = {}
    for path in (newest / "vis_data/dvclive/plots/metrics").glob("*.tsv"):
        rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
        curves[path.stem] = [(int(step), float(value)) for step, value in rows]
    assert not (newest.parents[1] / "dvc.yaml").exists()  # nothing outside of the work dir
    return curves


def aim_curves(newest: Path) -> dict[str, list[tuple[int, float]]]:
    """Through Aim's own repository; in a process of its own, which its locks end with."""
    script = """
import aim, json, sys
repo = aim.Repo(sys.argv[1])
(name,) = repo.list_all_runs()
run = aim.Run(name, repo=repo)
print(json.dumps({m.name: m.dataframe()[["step", "value"]].values.tolist() for m in run.metrics()}))
"""
    call = [sys.executable, "-W", "ignore", "-c", script, str(newest / "vis_data")]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return {name: [(int(step), value) for step, value in points] for name, points in found.items()}


def clearml_curves(newest: Path) -> dict[str, list[tuple[int, float]]]:
    """The events of the newest offline session: lists of points, one a line."""
    sessions = (newest.parents[1] / "clearml/offline").glob("*/metrics.jsonl")
    latest = max(sessions, key=lambda path: path.stat().st_mtime)
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in latest.read_text().splitlines():
        for point in json.loads(line):
            if point["type"] == "training_stats_scalar":
                curves.setdefault(point["metric"], []).append((point["iter"], point["value"]))
    return curves


def neptune_curves(newest: Path) -> dict[str, list[tuple[int, float]]]:
    """The operations of the newest offline run, one a line."""
    queues = (newest.parents[1] / ".neptune/offline").glob("*/data-1.log")
    latest = max(queues, key=lambda path: path.stat().st_mtime)
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in latest.read_text().splitlines():
        operation = json.loads(line)["obj"]
        if operation["type"] == "LogFloats" and operation["path"][0] != "monitoring":
            points = [(int(value["step"]), value["value"]) for value in operation["values"]]
            curves.setdefault("/".join(operation["path"]), []).extend(points)
    return curves


def comet_ml_curves(newest: Path) -> dict[str, list[tuple[int, float]]]:
    """The messages in the archive of the offline experiment, one a line."""
    (archive,) = (newest / "vis_data/comet").glob("*.zip")
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in zipfile.ZipFile(archive).read("messages.json").decode().splitlines():
        message = json.loads(line)
        if message["type"] == "metric_msg":
            metric = message["payload"]["metric"]
            curves.setdefault(metric["metricName"], []).append((metric["step"], metric["metricValue"]))
    return curves


def swanlab_curves(newest: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars in SwanLab's own file: records of its protocol in a log of LevelDB's format."""
    from swanlab.proto.swanlab.record.v1 import record_pb2

    (path,) = (newest / "vis_data/swanlab").rglob("*.swanlab")
    curves: dict[str, list[tuple[int, float]]] = {}
    for data in leveldb_records(path.read_bytes()[7:]):
        record = record_pb2.Record()
        record.ParseFromString(data)
        if record.HasField("scalar"):
            curves.setdefault(record.scalar.key, []).append((record.scalar.step, record.scalar.value.number))
    return curves


def trackio_curves(newest: Path) -> dict[str, list[tuple[int, float]]]:
    """The rows of the newest run in the data base."""
    with contextlib.closing(sqlite3.connect(newest.parents[1] / "trackio/p.db")) as base:
        rows = base.execute("SELECT run_id, step, metrics FROM metrics ORDER BY id").fetchall()
    curves: dict[str, list[tuple[int, float]]] = {}
    for run, step, metrics in rows:
        if run == rows[-1][0]:
            for name, value in json.loads(metrics).items():
                curves.setdefault(name, []).append((step, value))
    return curves


READERS = {
    "comet_ml": comet_ml_curves,
    "swanlab": swanlab_curves,
    "trackio": trackio_curves,
    "dvclive": dvclive_curves,
    "aim": aim_curves,
    "clearml": clearml_curves,
    "neptune": neptune_curves,
}


@pytest.mark.parametrize("package", OTHERS)
def test_a_tracker_that_is_not_installed_leaves_the_run_alone_and_says_what_to_install(tmp_path, package) -> None:
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed here")
    from eng.registry import VISBACKENDS

    tracker = VISBACKENDS.build({"type": OTHERS[package][0], "save_dir": str(tmp_path)})
    with pytest.raises(ModuleNotFoundError, match=f"pip install '{package}'"):
        tracker.add_scalar("loss", 1.0, 1)
