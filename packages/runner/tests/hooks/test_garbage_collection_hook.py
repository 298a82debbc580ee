"""Collections of garbage at fixed iterations of a run."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
from collections.abc import Iterator

import pytest

from eng.hooks import GarbageCollectionHook, Hook
from eng.logging.errors import UsageError


class Note(Hook):
    """Notes, in each iteration, whether collection is automatic, and the collections of the oldest generation so far."""

    def __init__(self) -> None:
        self.iterations: list[tuple[bool, int]] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.iterations.append((gc.isenabled(), gc.get_stats()[-1]["collections"]))


@pytest.fixture(autouse=True)
def automatic() -> Iterator[None]:
    gc.enable()
    yield
    gc.unfreeze()
    gc.enable()


def test_a_run_collects_every_third_iteration_and_automatically_afterwards(make_runner) -> None:
    note = Note()
    make_runner(env_cfg=dict(gc_interval=3), custom_hooks=[note], train_cfg=dict(by_epoch=False, max_iters=8)).train()
    assert len(note.iterations) == 8 and not any(is_automatic for is_automatic, _ in note.iterations)
    # Note is called before the hook of very low priority, so that a collection shows in the iteration behind.
    counts = [collections for _, collections in note.iterations]
    assert [after - before for before, after in itertools.pairwise(counts)] == [0, 0, 1, 0, 0, 1, 0]
    assert gc.isenabled() and gc.get_freeze_count() == 0


def test_a_failed_run_gives_automatic_collection_back(make_runner) -> None:
    class Fail(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
            raise RuntimeError("stops here")

    with pytest.raises(RuntimeError, match="stops here"):
        make_runner(env_cfg=dict(gc_interval=3), custom_hooks=[Fail()]).train()
    assert gc.isenabled()


def test_without_the_setting_collection_stays_automatic(make_runner) -> None:
    note = Note()
    make_runner(custom_hooks=[note]).train()
    assert all(is_automatic for is_automatic, _ in note.iterations)


def exit_status_of_worker() -> None:
    raise SystemExit(7 if gc.isenabled() else 8)


def test_a_forked_worker_collects_automatically() -> None:
    hook = GarbageCollectionHook(interval=5)
    hook.before_train(None)
    try:
        assert not gc.isenabled()
        worker = multiprocessing.get_context("fork").Process(target=exit_status_of_worker)
        worker.start()
        worker.join(30)
        assert worker.exitcode == 7
    finally:
        hook.after_run(None)


@pytest.mark.parametrize("interval", [0, -1, 2.5, True, "5"])
def test_an_interval_is_a_number_of_iterations(interval) -> None:
    with pytest.raises(UsageError, match="gc_interval must be a number of iterations above 0, got"):
        GarbageCollectionHook(interval=interval)
