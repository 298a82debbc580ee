"""Signals: who takes them, when they are answered, and whom they must not end."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from eng.hooks import Hook
from eng.runner import Preemption, RunInterrupted


class At(Hook):
    """Does something at the `number`-th call of a point."""

    def __init__(self, point: str, action, number: int = 1, priority: str = "NORMAL") -> None:
        self.left, self.action, self.priority = number, action, priority
        setattr(self, point, self.count)

    def count(self, runner, *args, **kwargs) -> None:
        self.left -= 1
        if self.left == 0:
            self.action()


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def stopped(runner) -> RunInterrupted:
    with pytest.raises(RunInterrupted) as caught:
        runner.train()
    return caught.value


@pytest.mark.parametrize("priority", ["HIGHEST", "LOWEST"])
def test_the_state_is_saved_when_all_hooks_of_the_iteration_have_run(make_runner, priority) -> None:
    """A hook of any priority has counted the iteration that the checkpoint calls over."""

    class Counts(Hook):
        seen = 0

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            self.seen += 1

        def state_dict(self):
            return {"seen": self.seen}

    Counts.priority = priority
    stop = stopped(make_runner(custom_hooks=[At("before_train_iter", terminate, 3), Counts()]))
    saved = torch.load(stop.checkpoint)
    assert (saved["meta"]["iter"], saved["run_state"]["hooks"]["Counts.0"]) == (3, {"seen": 3})


@pytest.mark.parametrize(("priority", "iterations"), [("HIGHEST", 3), ("LOWEST", 4)])
def test_a_signal_among_the_hooks_of_an_iteration_is_answered_at_the_next_safe_point(
    make_runner, priority, iterations
) -> None:
    stop = stopped(make_runner(custom_hooks=[At("after_train_iter", terminate, 3, priority)]))
    assert torch.load(stop.checkpoint)["meta"]["iter"] == iterations


def test_a_run_without_the_hook_leaves_signals_alone(make_runner) -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []
    watch = At("before_train_iter", lambda: seen.append(signal.getsignal(signal.SIGTERM)))
    runner = make_runner(custom_hooks=[watch], default_hooks=dict(preemption=None))
    runner.train()
    assert seen == [before]
    assert runner.preemption is None
    assert "PreemptionHook" not in runner.get_hooks_info()
    assert "PreemptionHook" in make_runner().get_hooks_info()


@pytest.mark.parametrize("point", ["before_train_iter", "before_train", "before_train_epoch"])
def test_a_signal_before_an_iteration_is_answered_after_it(make_runner, point) -> None:
    stop = stopped(make_runner(custom_hooks=[At(point, terminate)]))
    assert torch.load(stop.checkpoint)["meta"]["iter"] == 1


def test_a_signal_after_the_last_iteration_is_answered_in_the_validation_behind_it(make_runner, parts) -> None:
    given = dict(**parts.validation(acc=[1]), train_cfg=dict(max_epochs=1))
    stop = stopped(make_runner(custom_hooks=[At("after_train_epoch", terminate)], **given))
    assert "stopped by SIGTERM in the validation after epoch 1, iteration 4;" in str(stop)
    again = make_runner(resume=True, **given)
    again.train()
    assert (again.iter, again.model.calls) == (4, 0)


def test_a_signal_in_a_validation_within_an_epoch_names_that_epoch(make_runner, parts) -> None:
    given = dict(**parts.validation(acc=[1]), train_cfg=dict(max_epochs=2, val_interval=0.5))
    hook = At("before_val", terminate)
    stop = stopped(make_runner(custom_hooks=[hook], **given))
    assert stop.location == "in the validation in epoch 1, after iteration 2"
    assert stop.iterations == 2


def test_a_signal_that_finds_the_work_done_changes_nothing(make_runner) -> None:
    runner = make_runner(custom_hooks=[At("after_train", terminate)])
    runner.train()
    assert runner.iter == 8


def test_a_hook_that_is_registered_later_does_not_push_the_safe_point_out(make_runner) -> None:
    runner = make_runner()
    late = Hook()
    runner.register_hook(At("before_train_iter", terminate, 2))
    runner.register_hook(At("before_train_iter", lambda: runner.register_hook(late), 2, "LOW"))
    assert torch.load(stopped(runner).checkpoint)["meta"]["iter"] == 2


def test_the_time_budget_is_no_first_signal() -> None:
    """A SIGTERM that comes while the state is saved for another reason must not cut that short."""
    with Preemption(time_budget_s=0.0) as preemption:
        assert preemption.poll(0) == "time budget"
        terminate()
        assert preemption.reason == "time budget"
        assert preemption.exit_code == 75


def test_what_the_ranks_agreed_on_is_no_first_signal(monkeypatch) -> None:
    """The scheduler's signal may reach this rank only when another one has made all of them save."""
    with Preemption() as preemption:
        monkeypatch.setattr("eng.hooks.preemption.all_reduce", lambda code, op: code.fill_(3))
        assert preemption.poll(0, world_size=2) == "SIGTERM"
        terminate()
        assert preemption.exit_code == 143


def test_ranks_agree_at_every_tenth_safe_point_only(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr("eng.hooks.preemption.all_reduce", lambda code, op: asked.append(int(code)))
    with Preemption() as preemption:
        for step in range(30):
            preemption.poll(step, world_size=2)
    assert asked == [0, 0, 0]


def test_a_second_signal_ends_the_process_at_once() -> None:
    child = os.fork()
    if child == 0:
        with Preemption():
            terminate()
            terminate()
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM


def test_outside_the_main_thread_handlers_stay_as_they_are() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def run() -> None:
        with Preemption():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


def test_earlier_handlers_come_back_also_when_a_run_fails(make_runner) -> None:
    def mine(number, frame): ...

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with pytest.raises(TypeError):
            make_runner(train_dataloader=["not a batch"]).train()
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


class WhoReads(Dataset):
    """Gives the process in which a sample is read, slowly enough that a signal comes while the run waits for data."""

    def __len__(self) -> int:
        return 400

    def __getitem__(self, index: int):
        time.sleep(0.005)
        return torch.tensor([float(os.getpid())]), torch.tensor([0.0])


@pytest.mark.timeout(90)
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
@pytest.mark.parametrize("ready", [False, True], ids=["config", "ready-made"])
def test_a_signal_to_the_whole_job_leaves_the_workers_until_the_state_is_saved(make_runner, name, ready) -> None:
    if ready:
        loader = DataLoader(WhoReads(), batch_size=2, num_workers=2)
    else:
        loader = dict(dataset=WhoReads(), batch_size=2, num_workers=2, collate_fn="default_collate")
    workers: set[int] = set()

    class EndAll(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            workers.update(int(value) for value in data_batch[0].flatten())
            if batch_idx == 3:
                assert len(workers) == 2
                from_elsewhere(getattr(signal, name), *workers, os.getpid())
                time.sleep(0.1)  # for a worker that ends to be noticed

    runner = make_runner(
        train_dataloader=loader, custom_hooks=[EndAll()], optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.0))
    )
    stop = stopped(runner)
    assert stop.reason == name
    assert torch.load(stop.checkpoint)["meta"]["iter"] == 4
    stop.__traceback__ = None  # its frames hold the loader
    gc.collect()
    deadline = time.monotonic() + 30
    while any(is_alive(process) for process in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(is_alive(process) for process in workers), "their own loader still ends them"


def from_elsewhere(number: int, *processes: int) -> None:
    """Sends a signal as a scheduler does: from a process that is nobody's loader."""
    child = os.fork()
    if child == 0:
        for process in processes:
            os.kill(process, number)
        os._exit(0)
    os.waitpid(child, 0)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_worker_that_hangs_is_ended_by_its_own_process() -> None:
    import multiprocessing

    from eng.runner.assemble.workers import WorkerStart

    context = multiprocessing.get_context("fork")
    started = context.Event()

    def hang() -> None:
        WorkerStart(None)(0)
        started.set()
        time.sleep(60)

    worker = context.Process(target=hang, daemon=True)
    worker.start()
    assert started.wait(30)
    from_elsewhere(signal.SIGTERM, worker.pid)
    worker.join(0.2)
    assert worker.is_alive()
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 0


def test_a_validation_alone_is_stopped_too(make_runner, parts) -> None:
    runner = make_runner(**parts.validation(acc=[1]), custom_hooks=[At("before_val_iter", terminate)])
    with pytest.raises(RunInterrupted) as caught:
        runner.val()
    assert (caught.value.code, caught.value.checkpoint) == (143, None)


def test_a_run_without_a_checkpoint_hook_stops_all_the_same(make_runner) -> None:
    stop = stopped(make_runner(custom_hooks=[At("before_run", terminate)], default_hooks=dict(checkpoint=None)))
    assert (stop.code, stop.checkpoint) == (143, None)


def test_signals_that_the_run_is_told_to_take(make_runner) -> None:
    hook = At("before_train_iter", lambda: os.kill(os.getpid(), signal.SIGINT))
    stop = stopped(make_runner(custom_hooks=[hook], preemption=dict(signals=("SIGINT",))))
    assert (stop.reason, stop.code) == ("SIGINT", 130)


def test_an_unknown_signal_of_another_system_is_left_out() -> None:
    assert Preemption(signals=("SIGTERM", "SIGOTHER")).signals == [signal.SIGTERM]
