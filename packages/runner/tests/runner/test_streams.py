"""Streams: where an epoch ends, and what is said of data that cannot be entered in the middle or end too early."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from stream_runs import Count, Gone, Line, Squares, Stateful, Strike, batches, loader, run
from torch.utils.data import DataLoader

from eng.hooks import Hook
from eng.runner import Runner
from eng.runner.errors import SettingsError


def test_an_epoch_of_a_stream_ends_where_the_stream_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runner = run(tmp_path, loader(Count(6)), {"by_epoch": True, "max_epochs": 2})
    with caplog.at_level(logging.WARNING):
        assert runner.max_iters == math.inf
    assert "Count has no length" in caplog.text
    assert "write train_cfg=dict(by_epoch=False, max_iters=...)" in caplog.text
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 6)
    assert runner.model.seen == [0, 1, 2, 3, 4, 5] * 2


def test_losses_accumulated_at_the_end_of_a_stream_are_used(tmp_path: Path) -> None:
    # Three batches of one number: the window of two holds one batch at the end.
    runner = run(tmp_path, loader(Count(6)), {"by_epoch": True, "max_epochs": 1}, wrapper={"accumulative_counts": 2})
    runner.train()
    bare = Line()
    optimizer = torch.optim.SGD(bare.parameters(), lr=0.01)
    for window in ([[0, 1], [2, 3]], [[4, 5]]):
        optimizer.zero_grad()
        for numbers in window:
            (bare(torch.tensor(numbers))["loss"] / len(window)).backward()
        optimizer.step()
    for ours, expected in zip(runner.model.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(ours, expected)


def stopped_and_resumed(folder: Path, dataset: type[Count], cfg: dict[str, Any], at: int) -> tuple[Runner, Count]:
    with pytest.raises(Gone):
        run(folder, loader(dataset(6)), cfg, custom_hooks=[Strike(at)]).train()
    data = dataset(6)
    resumed = run(folder, loader(data), cfg, resume=True)
    resumed.train()
    return resumed, data


CFGS = [{"by_epoch": True, "max_epochs": 2}, {"by_epoch": False, "max_iters": 6}]


@pytest.mark.parametrize("cfg", [CFGS[0], {"by_epoch": False, "max_iters": 8}], ids=["epochs", "iterations"])
@pytest.mark.parametrize("at", [3, 4, 5, 8])
def test_a_stream_that_ended_inside_its_last_batch_is_not_read_again(
    at: int, cfg: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(Gone):
        run(tmp_path, loader(Stateful(7)), cfg, custom_hooks=[Strike(at)]).train()
    stream = Stateful(7)
    resumed = run(tmp_path, loader(stream), cfg, resume=True)
    resumed.train()
    batches = [[0, 1], [2, 3], [4, 5], [6]] * 2
    assert resumed.model.seen == [number for batch in batches[at:] for number in batch] == stream.reads
    assert resumed.iter == 8


@pytest.mark.parametrize("cfg", CFGS, ids=["epochs", "iterations"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_dataset_with_a_state_reads_no_sample_again(at: int, cfg: dict[str, Any], tmp_path: Path) -> None:
    resumed, data = stopped_and_resumed(tmp_path, Stateful, cfg, at)
    expected = ([0, 1, 2, 3, 4, 5] * 2)[2 * at :]
    assert resumed.model.seen == expected
    assert data.reads == expected


@pytest.mark.parametrize("cfg", CFGS, ids=["epochs", "iterations"])
def test_what_a_stream_without_a_state_skips_is_told(
    cfg: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        resumed, data = stopped_and_resumed(tmp_path, Count, cfg, at=2)
    assert "4 samples (2 batches) that the saved run had consumed were read again and skipped" in caplog.text
    assert "torchdata's StatefulDataLoader, spares that" in caplog.text
    assert resumed.model.seen == [4, 5, 0, 1, 2, 3, 4, 5]
    assert data.reads == [0, 1, 2, 3, 4, 5] * 2


def test_a_state_that_no_safe_checkpoint_holds_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Stateful):
        def state_dict(self) -> dict[str, Any]:
            return {"next": self.next, "file": {"path": Path("a")}}

    with caplog.at_level(logging.WARNING):
        resumed, _ = stopped_and_resumed(tmp_path, Odd, CFGS[1], at=2)
    assert "The state of Odd is not saved" in caplog.text
    assert "state['file']['path'] is a PosixPath" in caplog.text
    assert resumed.model.seen == [4, 5, 0, 1, 2, 3, 4, 5]


def test_a_stream_shorter_than_max_iters_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runner = run(tmp_path, loader(Count(6)), {"by_epoch": False, "max_iters": 8})
    with caplog.at_level(logging.WARNING):
        runner.train()
    told = [record.getMessage() for record in caplog.records if "Reached the end" in record.getMessage()]
    assert len(told) == 1
    assert "its stream gave 3 batches and max_iters=8 asks for more" in told[0]
    assert "for one pass write max_iters=3, or train_cfg=dict(by_epoch=True, max_epochs=1)" in told[0]
    assert runner.model.seen == ([0, 1, 2, 3, 4, 5] * 3)[:16]


def test_a_generator_shorter_than_max_iters_says_what_to_write(tmp_path: Path) -> None:
    runner = run(tmp_path, batches([1, 2]), {"by_epoch": False, "max_iters": 5})
    with pytest.raises(
        ValueError, match=r"ended after 2 batches, begins no second time, and max_iters=5 needs more: write max_iters=2"
    ):
        runner.train()


def test_a_schedule_that_needs_the_unknown_end_says_what_to_write(tmp_path: Path) -> None:
    schedule = {"type": "LinearLR", "by_epoch": False}
    runner = run(tmp_path, loader(Count(6)), CFGS[0], param_scheduler=schedule)
    with pytest.raises(ValueError, match=r"LinearLR counts iterations .* give its end=..., or let it count epochs"):
        runner.train()


class Noted(DataLoader):
    """A subclass of torch's loader, which a resumed run must not replace by a plain one."""

    passes = 0

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        yield from super().__iter__()


def test_options_of_a_loader_survive_a_resume_inside_an_epoch(tmp_path: Path) -> None:
    cfg = {"by_epoch": True, "max_epochs": 2}
    options: dict[str, Any] = {
        "batch_size": 2, "shuffle": True, "num_workers": 1, "persistent_workers": True, "prefetch_factor": 3,
        "multiprocessing_context": "fork", "collate_fn": lambda numbers: {"number": torch.tensor(numbers)},
    }  # fmt: skip
    whole = run(tmp_path / "whole", Noted(Squares(), **options), cfg)
    whole.train()
    with pytest.raises(Gone):
        run(tmp_path / "stopped", Noted(Squares(), **options), cfg, custom_hooks=[Strike(2)]).train()
    given = Noted(Squares(), **options)
    workers: list[int] = []
    ahead: set[int] = set()

    class Pids(Hook):
        def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
            iterator = runner.train_dataloader._iterator
            workers.extend(worker.pid for worker in iterator._workers)
            ahead.add(iterator._prefetch_factor)

    resumed = run(tmp_path / "stopped", given, cfg, resume=True, custom_hooks=[Pids()])
    resumed.train()
    assert resumed.train_dataloader is given
    assert given.passes == 2
    assert len(set(workers)) == 1, "the workers persist from the entered epoch into the next"
    assert ahead == {3}
    assert resumed.model.seen == whole.model.seen[4:]


class Shared(Count):
    def __iter__(self) -> Iterator[int]:
        info = torch.utils.data.get_worker_info()
        return iter(range(info.id, self.stop, info.num_workers))


@pytest.mark.parametrize(
    ("dataset", "workers", "is_told"), [(Count, 2, True), (Count, 1, False), (Count, 0, False), (Shared, 2, False)]
)
def test_a_stream_that_each_worker_reads_as_a_whole_is_told(
    dataset: type[Count], workers: int, is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = DataLoader(dataset(6), batch_size=2, num_workers=workers)
    with caplog.at_level(logging.WARNING):
        assert run(tmp_path, data, {"by_epoch": False, "max_iters": 1}).train_loop is not None
    assert ("each sample comes once from each of 2 workers" in caplog.text) is is_told


@pytest.mark.parametrize(("dataset", "is_told"), [(Stateful, True), (Count, False)])
def test_a_stream_of_both_training_and_validation_is_told(
    dataset: type[Count], is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stream = dataset(6)
    validation = {"val_dataloader": loader(stream), "val_cfg": {}, "val_evaluator": []}
    runner = run(tmp_path, loader(stream), CFGS[1], **validation)
    with caplog.at_level(logging.WARNING):
        assert runner.val_loop is not None
    text = "val_dataloader and train_dataloader read one object of Stateful, which has one position for both"
    assert (text in caplog.text) is is_told
    assert ("Give each loader a stream of its own" in caplog.text) is is_told


def test_a_generator_in_a_second_epoch_says_what_to_write(tmp_path: Path) -> None:
    runner = run(tmp_path, batches([1, 2]), CFGS[0])
    with pytest.raises(
        ValueError, match=r"gave 2 batches and none in epoch 2: it begins no second time. Write max_epochs=1"
    ):
        runner.train()


def test_an_epoch_of_an_empty_stream_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gives no batch: its stream \(Count\) gives no sample"):
        run(tmp_path, loader(Count(0)), CFGS[0]).train()


@pytest.mark.parametrize(("mode", "name"), [("val", "validation"), ("test", "test")])
def test_a_generator_without_batches_is_no_validation(mode: str, name: str, tmp_path: Path) -> None:
    parts = {f"{mode}_dataloader": batches([]), f"{mode}_cfg": {}, f"{mode}_evaluator": []}
    runner = run(tmp_path, loader(Count(6)), CFGS[1], **parts)
    with pytest.raises(ValueError, match=f"the {name} dataloader gives no batch: a generator has one pass alone"):
        getattr(runner, mode)()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"shuffle": True}, "Count is a stream.*leave shuffle=True out and let the stream shuffle"),
        ({"sampler": {"type": "DefaultSampler"}}, "Count is a stream.*leave the dataloader's sampler out"),
        ({"num_batch_per_epoch": 3}, r"Count is a stream: write train_cfg=dict\(limit_batches=3\)"),
    ],
    ids=["shuffle", "sampler", "num_batch_per_epoch"],
)
def test_options_that_no_stream_has_say_what_to_write(option: dict[str, Any], message: str, tmp_path: Path) -> None:
    config = {"dataset": Count(6), "batch_size": 2, **option}
    with pytest.raises(SettingsError, match=message):
        run(tmp_path, config, CFGS[1]).train()
