"""What a Runner leaves behind when nobody holds it any more: nothing."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from eng.hooks import Hook
from eng.logging import MessageHub, MMLogger
from eng.registry import DefaultScope
from eng.visualization import TensorboardVisBackend, Visualizer

psutil = pytest.importorskip("psutil")


class Holds(Hook):
    """Keeps the runner, as many hooks do."""

    def before_run(self, runner):
        self.runner = runner


def loader(num_workers: int = 0) -> DataLoader:
    x = torch.linspace(0, 1, 8)[:, None]
    options = dict(num_workers=num_workers, persistent_workers=num_workers > 0)
    return DataLoader(TensorDataset(x, 3 * x), batch_size=2, **options)


def parts_of(runner) -> dict[str, weakref.ref]:
    parts = dict(runner=runner, model=runner.model, optim_wrapper=runner.optim_wrapper, loop=runner.train_loop,
                 optimizer=runner.optim_wrapper.optimizer, loader=runner.train_dataloader, hook=runner.hooks[-1],
                 weight=next(runner.model.parameters()))  # fmt: skip
    return {name: weakref.ref(part) for name, part in parts.items()}


def held() -> tuple[int, int, int]:
    process = psutil.Process()
    return process.num_fds(), threading.active_count(), len(process.children(recursive=True))


def train_one(make_runner, parts, work_dir: Path, num_workers: int, ending: str) -> dict[str, weakref.ref]:
    runner = make_runner(
        **parts.validation(acc=[1]),
        train_dataloader=loader(num_workers), work_dir=work_dir, custom_hooks=[Holds()], experiment_name=None,
        visualizer=dict(type="Visualizer", vis_backends=[dict(type="TensorboardVisBackend")]),
        default_hooks=dict(logger=dict(type="LoggerHook", interval=1), checkpoint=dict(type="CheckpointHook", interval=-1)),
    )  # fmt: skip
    if ending == "failed":
        runner.register_hook(Fails())
        with pytest.raises(RuntimeError, match="on purpose"):
            runner.train()
    else:
        runner.train()
    return parts_of(runner)


class Fails(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        raise RuntimeError("on purpose")


def settled(before: tuple[int, int, int]) -> tuple[int, int, int]:
    """What is held, once threads and workers that are ending have ended."""
    deadline = time.monotonic() + 20
    while (now := held()) != before and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
    return now


@pytest.mark.skipif(not hasattr(psutil.Process, "num_fds"), reason="descriptors are Unix's")
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("num_runs", "num_workers", "ending"), [(20, 0, "trained"), (1, 1, "trained"), (3, 0, "failed")], ids=str
)
def test_runs_leave_nothing(make_runner, parts, tmp_path, num_runs, num_workers, ending) -> None:
    train_one(make_runner, parts, tmp_path / "first", num_workers, ending)  # what is imported and opened once
    gc.collect()
    time.sleep(0.5)
    before = held()
    refs = [train_one(make_runner, parts, tmp_path / str(run), num_workers, ending) for run in range(num_runs)]
    gc.collect()
    alive = [name for of_run in refs for name, ref in of_run.items() if ref() is not None]
    assert alive == []
    assert settled(before) == before
    for kind in (MMLogger, MessageHub, Visualizer, DefaultScope):  # the current one stays until the next is made
        assert sum(str(name).startswith("20") for name in kind._instance_dict) <= 1


def test_a_logger_that_outlives_its_run_goes_on_writing(make_runner, tmp_path) -> None:
    runner = make_runner(work_dir=tmp_path, log_level="INFO")
    logger, path = runner.logger, Path(runner.log_dir) / f"{runner.timestamp}.log"
    del runner
    gc.collect()
    assert MMLogger.get_current_instance() is logger
    logger.info("afterwards")
    text = path.read_text()
    assert text.endswith("afterwards\n")
    assert "System environment" in text
    logger.close_file()


def test_a_visualizer_of_the_user_is_left_alone(make_runner, tmp_path) -> None:
    visualizer = Visualizer.get_instance("of the user", vis_backends=[TensorboardVisBackend(str(tmp_path))])
    runner = make_runner(visualizer=visualizer)
    del runner
    gc.collect()
    visualizer.add_scalar("loss", 1.0)
    assert Visualizer.get_instance("of the user") is visualizer
    assert visualizer._moment() == {}
    visualizer.close()


def test_a_process_ends_with_its_runs_alive(tmp_path) -> None:
    script = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from conftest import Parts
        from eng.runner import Runner
        runner = Runner(**Parts.settings({str(tmp_path)!r}))
        runner.train()
        """
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
