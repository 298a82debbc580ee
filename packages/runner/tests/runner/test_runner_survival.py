"""What a run leaves behind when something around it fails, and that the next one goes on from it."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest
import torch

from eng.checkpoint import AsyncCheckpointWriter, CheckpointWriteError
from eng.hooks import CheckpointHook, Hook
from eng.registry import VISBACKENDS
from eng.runner import RunInterrupted
from eng.visualization import BaseVisBackend


def names_in(folder) -> set[str]:
    return {path.name for path in Path(folder).glob("*.pth")}


@VISBACKENDS.register_module(force=True)
class UnreachableTracker(BaseVisBackend):
    """Loses its server at a given scalar."""

    in_background = False

    def __init__(self, save_dir: str = "", at: str = "loss") -> None:
        super().__init__(save_dir)
        self.at = at

    def _init_env(self) -> None: ...

    @property
    def experiment(self):
        return self

    def add_config(self, config, **kwargs) -> None: ...

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs) -> None:
        if self.at in scalar_dict:
            raise ConnectionError("the server is gone")


class Last(Hook):
    """Notes that the end came, behind all others."""

    priority = "LOWEST"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def after_run(self, runner) -> None:
        self.seen.append("after_run")


def tracker(at: str) -> dict:
    return dict(type="Visualizer", vis_backends=[dict(type="UnreachableTracker", at=at)])


def test_a_tracker_that_fails_in_an_iteration_does_not_cost_its_checkpoint(make_runner, tmp_path) -> None:
    last = Last()
    hooks = dict(
        logger=dict(type="LoggerHook", interval=3), checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=3)
    )
    with pytest.raises(ConnectionError, match="the server is gone") as caught:
        make_runner(visualizer=tracker("loss"), default_hooks=hooks, custom_hooks=[last]).train()
    assert names_in(tmp_path / "run") == {"iter_3.pth"}
    assert last.seen == ["after_run"]
    if hasattr(caught.value, "__notes__"):
        assert any("UnreachableTracker" in note for note in caught.value.__notes__)
        assert "raised by LoggerHook at after_train_iter" in caught.value.__notes__
    resumed = make_runner(resume=True)
    resumed.train()
    assert resumed.model.calls == 5


def test_a_tracker_that_fails_after_a_validation_does_not_cost_the_best_checkpoints(
    make_runner, parts, tmp_path
) -> None:
    hooks = dict(checkpoint=dict(type="CheckpointHook", interval=-1, save_last=False, save_best=["acc", "f1"]))
    with pytest.raises(ConnectionError, match="the server is gone"):
        make_runner(visualizer=tracker("acc"), default_hooks=hooks, **parts.validation(acc=[1], f1=[1])).train()
    assert names_in(tmp_path / "run") == {"best_acc_epoch_1.pth", "best_f1_epoch_1.pth"}


def test_one_best_checkpoint_that_fails_does_not_cost_the_other(make_runner, parts, tmp_path, monkeypatch) -> None:
    plain = CheckpointHook._save_best

    def save_best(self, runner, key):
        if key == "acc":
            raise OSError("no room for it")
        plain(self, runner, key)

    monkeypatch.setattr(CheckpointHook, "_save_best", save_best)
    hooks = dict(checkpoint=dict(type="CheckpointHook", interval=-1, save_last=False, save_best=["acc", "f1"]))
    with pytest.raises(OSError, match="no room for it"):
        make_runner(default_hooks=hooks, **parts.validation(acc=[1], f1=[1])).train()
    assert names_in(tmp_path / "run") == {"best_f1_epoch_1.pth"}


class Gone(BaseException):
    """The process is gone: nothing handles it."""


@pytest.mark.parametrize("by_epoch", [True, False], ids=["epochs", "iterations"])
def test_a_run_killed_between_two_best_checkpoints_saves_the_second_when_it_goes_on(
    make_runner, parts, tmp_path, by_epoch
) -> None:
    class Kill(Hook):
        priority = "LOWEST"

        def before_save_checkpoint(self, runner, checkpoint) -> None:
            if len(names_in(runner.work_dir)) == 1:
                raise Gone

    def settings(name: str, **scores) -> dict:
        hooks = dict(checkpoint=dict(type="CheckpointHook", interval=-1, save_last=False, save_best=["acc", "f1"]))
        train_cfg = dict(max_epochs=2) if by_epoch else dict(by_epoch=False, max_iters=8, val_interval=3)
        return dict(work_dir=tmp_path / name, default_hooks=hooks, train_cfg=train_cfg, **parts.validation(**scores))

    scores = dict(acc=[2, 1, 1], f1=[2, 1, 1])
    make_runner(**settings("whole", **scores)).train()
    with pytest.raises(Gone):
        make_runner(custom_hooks=[Kill()], **settings("killed", **scores)).train()
    resumed = make_runner(resume=True, **settings("killed", acc=[1], f1=[1]))
    resumed.train()
    names = names_in(tmp_path / "killed")
    assert names == names_in(tmp_path / "whole")
    assert len(names) == 2
    assert resumed.message_hub.get_info("best_score_f1") == 2
    for name in names:
        ours, theirs = (torch.load(tmp_path / folder / name) for folder in ("killed", "whole"))
        assert torch.equal(ours["state_dict"]["fit.weight"], theirs["state_dict"]["fit.weight"])
        assert ours["run_state"]["position"] == theirs["run_state"]["position"]
        generators = [saved["run_state"]["rng"][0]["now"]["torch"] for saved in (ours, theirs)]
        assert torch.equal(*generators)


def test_the_checkpoint_before_a_broken_one_is_gone_on_from(make_runner, heard, tmp_path) -> None:
    make_runner().train()
    newest = tmp_path / "run" / "epoch_2.pth"
    newest.write_bytes(newest.read_bytes()[:-500])
    resumed = make_runner(resume=True)
    resumed.train()
    assert f"the checkpoint {newest} is skipped: " in heard.text
    assert (resumed.iter, resumed.model.calls) == (8, 4)
    assert torch.load(newest)["meta"]["iter"] == 8


@pytest.mark.parametrize("form", ["{}", "file://{}", "memory://survival{}"], ids=["path", "address", "storage"])
def test_checkpoints_elsewhere_are_gone_on_from(make_runner, tmp_path, form) -> None:
    if "memory" in form:
        pytest.importorskip("fsspec")
    hooks = dict(checkpoint=dict(type="CheckpointHook", out_dir=form.format(tmp_path / "out"), max_keep_ckpts=1))
    make_runner(default_hooks=hooks, train_cfg=dict(max_epochs=1)).train()
    resumed = make_runner(default_hooks=hooks, resume=True)
    resumed.train()
    assert (resumed.iter, resumed.model.calls) == (8, 4)


def in_fork(action) -> int:
    """Exit status of a process that runs `action`: 7 where a checkpoint could not be written."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except CheckpointWriteError:
            status = 7
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("beside", [False, True], ids=["blocking", "async"])
def test_a_disk_that_fills_up_stops_the_run_and_the_next_one_goes_on(make_runner, tmp_path, beside) -> None:
    hooks = dict(checkpoint=dict(type="CheckpointHook", async_save=beside))

    class Fill(Hook):
        """From the third epoch on a file may be of 4 kB at most."""

        def before_train_epoch(self, runner) -> None:
            if runner.epoch == 2:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    settings = dict(default_hooks=hooks, train_cfg=dict(max_epochs=4))
    assert in_fork(lambda: make_runner(custom_hooks=[Fill()], **settings).train()) == 7
    whole = names_in(tmp_path / "run")
    assert whole in [{"epoch_1.pth"}, {"epoch_1.pth", "epoch_2.pth"}][0 if beside else 1 :]
    assert not list((tmp_path / "run").glob(".*.partial"))
    resumed = make_runner(resume=True, **settings)
    resumed.train()
    assert (resumed.iter, resumed.model.calls) == (16, 4 * (4 - len(whole)))


class Terminate(Hook):
    def __init__(self, number: int) -> None:
        self.left = number

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_stopped_run_keeps_what_its_regular_checkpoints_leave_out(make_runner, tmp_path) -> None:
    checkpoint = dict(type="CheckpointHook", save_optimizer=False, save_param_scheduler=False)
    given = dict(default_hooks=dict(checkpoint=checkpoint), param_scheduler=dict(type="StepLR", step_size=1))
    with pytest.raises(RunInterrupted) as caught:
        make_runner(custom_hooks=[Terminate(6)], **given).train()
    assert {"optimizer", "param_schedulers"} <= set(torch.load(caught.value.checkpoint))
    assert not {"optimizer", "param_schedulers"} & set(torch.load(tmp_path / "run" / "epoch_1.pth"))


def test_a_write_that_failed_does_not_cost_the_checkpoint_of_a_stopped_run(make_runner, heard, monkeypatch) -> None:
    def fail(*args, **kwargs):
        raise OSError("the network is down")

    plain = AsyncCheckpointWriter.__init__
    monkeypatch.setattr(AsyncCheckpointWriter, "__init__", lambda self: plain(self, fail))
    runner = make_runner(
        custom_hooks=[Terminate(6)], default_hooks=dict(checkpoint=dict(type="CheckpointHook", async_save=True))
    )
    heard.listen(runner.logger)
    with pytest.raises(RunInterrupted) as caught:
        runner.train()
    assert torch.load(caught.value.checkpoint)["meta"]["iter"] == 6
    assert "beside training failed" in heard.text
    assert "The checkpoint before interrupted_iter_6.pth was not written" in heard.text


def test_a_report_of_the_environment_starts_no_other_program(make_runner, monkeypatch) -> None:
    import subprocess

    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda words, **kwargs: started.append(words[0]))
    for name in ("system", "popen", "posix_spawn", "fork"):
        monkeypatch.setattr(os, name, lambda *args, _name=name, **kwargs: started.append(_name))
    runner = make_runner(log_level="INFO")
    assert set(started) <= {"git"}  # for the passport
    log = (Path(runner.log_dir) / f"{runner.timestamp}.log").read_text()
    assert "System environment" in log
    assert "PyTorch: " in log
