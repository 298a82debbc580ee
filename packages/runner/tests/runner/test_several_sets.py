"""Several validation and test sets, and when to validate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from eng.evaluator import BaseMetric
from eng.hooks import EarlyStoppingHook, Hook
from eng.logging import progress
from eng.logging.progress import Bar
from eng.model import BaseModel
from eng.runner import Runner
from eng.runner.assemble.loops import _refuse_names_of_sets
from eng.runner.errors import SettingsError


class Threshold(BaseModel):
    """Says whether a number is above its only weight, which training moves down."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = nn.Parameter(torch.tensor(5.0))

    def forward(self, x: Any, y: Any, mode: str = "tensor") -> Any:
        if mode == "loss":
            return {"loss": self.limit + 0 * x.sum()}
        return [{"right": bool(right)} for right in (x > self.limit) == y]


class Accuracy(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [sample["right"] for sample in data_samples]

    def compute_metrics(self, results: list[bool]) -> dict[str, float]:
        return {"accuracy": sum(results) / len(results)}


class Count(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [1] * len(data_samples)

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return {"count": float(len(results))}


def loader(numbers: list[float], labels: list[bool]) -> DataLoader[Any]:
    return DataLoader(TensorDataset(torch.tensor(numbers), torch.tensor(labels)), batch_size=2)


CLEAN = ([1.0, 6.0, 7.0], [False, True, True])
NOISY = ([1.0, 6.0, 7.0, 8.0], [True, True, False, False])


def runner(folder: Path, **settings: Any) -> Runner:
    train = {
        "train_dataloader": loader([1.0] * 8, [True] * 8),
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.5}},
    }
    checkpoint = {"type": "CheckpointHook", "interval": 1, **settings.pop("checkpoint", {})}
    return Runner(
        Threshold(), str(folder), default_hooks={"checkpoint": checkpoint, **settings.pop("hooks", {})},
        **{"log_level": "WARNING", **train, "train_cfg": {"max_epochs": 2}, **settings},
    )  # fmt: skip


def two_sets(**settings: Any) -> dict[str, Any]:
    return {
        "val_dataloader": {"clean": loader(*CLEAN), "noisy": loader(*NOISY)},
        "val_evaluator": {"clean": Accuracy(), "noisy": [Accuracy(), Count()]},
        "val_cfg": {},
        **settings,
    }


class Points(Hook):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def before_val_epoch(self, runner: Any) -> None:
        self.seen.append("begin")

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.seen.append((runner.val_loop.current_set, batch_idx))

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        self.seen.append(metrics)


def test_metrics_of_several_sets_come_together_under_their_names(tmp_path: Path) -> None:
    points = Points()
    metrics = runner(tmp_path, custom_hooks=[points], **two_sets()).val()
    # With the limit 5: clean is all right, noisy is right for 6.0 alone.
    assert metrics == {"clean/accuracy": 1.0, "noisy/accuracy": 0.25, "noisy/count": 4.0}
    batches = [("clean", 0), ("clean", 1), ("noisy", 0), ("noisy", 1)]
    assert points.seen == ["begin", *batches, metrics]


def test_one_evaluator_serves_all_sets_and_loop_settings_have_their_names(tmp_path: Path) -> None:
    settings = two_sets(val_evaluator=Accuracy(), val_cfg={"clean": {"fp16": True}})
    run = runner(tmp_path, **settings)
    assert run.val() == {"clean/accuracy": 1.0, "noisy/accuracy": 0.25}
    assert [loop.fp16 for loop in run.val_loop.loops.values()] == [True, False]
    assert len(run.val_dataloader) == 4


def test_test_sets_have_names_too(tmp_path: Path) -> None:
    sets = {"test_dataloader": {"a": loader(*CLEAN), "b": loader(*NOISY)}, "test_evaluator": Count(), "test_cfg": {}}
    assert runner(tmp_path, **sets).test() == {"a/count": 3.0, "b/count": 4.0}


def test_hooks_and_schedules_follow_a_metric_of_a_set(tmp_path: Path) -> None:
    # One step down by 0.5 an iteration, four iterations an epoch: 5 -> 3 -> 1; noisy stays at 0.25.
    stop = EarlyStoppingHook("noisy/accuracy", patience=1, min_delta=0.01)
    schedule = {
        "type": "ReduceOnPlateauLR",
        "monitor": "noisy/accuracy",
        "rule": "greater",
        "patience": 0,
        "factor": 0.1,
    }
    run = runner(
        tmp_path, custom_hooks=[stop], checkpoint={"save_best": "clean/accuracy"}, param_scheduler=schedule,
        **{**two_sets(), "train_cfg": {"max_epochs": 9}},
    )  # fmt: skip
    run.train()
    assert (tmp_path / "best_clean_accuracy_epoch_1.pth").is_file()
    assert run.epoch == 2
    assert run.optim_wrapper.param_groups[0]["lr"] < 0.5


def test_a_config_with_several_sets_passes_the_check(tmp_path: Path) -> None:
    from eng.registry import DATASETS, METRICS, check
    from eng.runner.schema import SCHEMA

    data = {"dataset": {"type": "ConcatDataset", "datasets": []}, "batch_size": 2}
    cfg = {
        "model": {"type": "x"}, "val_dataloader": {"clean": data, "noisy": {**data, "batch_sise": 3}},
        "val_evaluator": {"clean": [{"type": "DumpResults", "out_file_path": "a.pkl"}]}, "val_cfg": {"noisy": {"fp17": True}},
    }  # fmt: skip
    assert DATASETS is not METRICS
    found = {finding.path for finding in check(cfg, SCHEMA)}
    assert "val_dataloader.noisy.batch_sise" in found
    assert "val_cfg.noisy.fp17" in found
    assert not any("clean" in path for path in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val_evaluator": {"clean": Accuracy(), "nosiy": Count()}}, r"val_evaluator\.nosiy belongs to no loader.*did you mean 'noisy'"),
        ({"val_cfg": {"cleen": {"fp16": True}}}, r"val_cfg\.cleen belongs to no loader.*did you mean 'clean'"),
        ({"val_dataloader": loader(*CLEAN), "val_evaluator": {"clean": {"type": "Accuracy"}}}, r"val_evaluator has the names of sets \(clean\).*write val_dataloader=dict\(clean=\.\.\.\)"),
        ({"val_dataloader": loader(*CLEAN), "val_evaluator": Accuracy(), "val_cfg": {"clean": {"fp16": True}}}, r"val_cfg has the names of sets \(clean\)"),
        ({"val_evaluator": {"clean": Accuracy()}}, r"val_dataloader\.noisy has no evaluator: add noisy=\.\.\. to val_evaluator"),
    ],
)  # fmt: skip
def test_names_that_do_not_fit_say_what_to_write(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        runner(tmp_path, **two_sets(**change)).val()


@pytest.mark.parametrize("cfg", [{"limit": {"a": 1}}, {"limits": [2]}])
def test_unknown_settings_of_a_loop_are_no_names_of_sets(cfg: dict[str, Any], tmp_path: Path) -> None:
    settings = {"val_dataloader": loader(*CLEAN), "val_evaluator": Accuracy(), "val_cfg": cfg}
    with pytest.raises(TypeError, match=f"'{next(iter(cfg))}'"):
        runner(tmp_path, **settings).val()


def test_settings_of_a_loop_that_are_mappings_are_no_names_of_sets() -> None:
    _refuse_names_of_sets("val", {"limit_batches": {"fp16": 1}}, None)
    with pytest.raises(SettingsError, match=r"test_cfg has the names of sets \(clean\)"):
        _refuse_names_of_sets("test", {"clean": {"limit_batches": 1}}, None)


# --- when to validate ------------------------------------------------------------------------------------------


class When(Hook):
    def __init__(self) -> None:
        self.at: list[int] = []

    def before_val(self, runner: Any) -> None:
        self.at.append(runner.iter)


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        ({"max_epochs": 2, "val_interval": 0.5}, [2, 4, 6, 8]),
        ({"max_epochs": 2, "val_interval": 0.4}, [2, 4, 5, 7, 8]),
        ({"max_epochs": 2, "val_interval": 0.5, "val_begin": 2}, [6, 8]),
        ({"max_epochs": 3, "val_interval": 1.5}, [6, 12]),
        ({"max_epochs": 2, "val_interval": 2.0}, [8]),
        ({"by_epoch": False, "max_iters": 7, "val_interval": 0.5}, [2, 4, 6, 7]),
        ({"max_epochs": 2, "val_interval": {"minutes": 1e-9}}, list(range(1, 9))),
        ({"by_epoch": False, "max_iters": 3, "val_interval": {"minutes": 1e9}}, [3]),
    ],
)
def test_val_interval_is_a_part_of_an_epoch_or_time(cfg: dict[str, Any], expected: list[int], tmp_path: Path) -> None:
    when = When()
    runner(tmp_path, custom_hooks=[when], **two_sets(train_cfg=cfg)).train()
    assert when.at == expected


@pytest.mark.parametrize("value", [{"minutes": 0}, {"minutes": True}, {"hours": 1}, -0.5, float("nan"), "0.5", {}])
def test_an_interval_of_another_form_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="val_interval must be"):
        runner(tmp_path, **two_sets(train_cfg={"max_epochs": 1, "val_interval": value})).train()


def test_a_part_of_an_epoch_needs_a_length(tmp_path: Path) -> None:
    class Stream:
        def __iter__(self) -> Iterator[Any]:
            return iter(loader(*CLEAN))

    settings = two_sets(train_dataloader=Stream(), train_cfg={"max_epochs": 1, "val_interval": 0.5})
    with pytest.raises(
        ValueError, match=r"val_interval=0.5 is a part of an epoch.*write val_interval=dict\(minutes=20\)"
    ):
        runner(tmp_path, **settings).train()


def test_sanity_validation_comes_first_and_changes_nothing(tmp_path: Path) -> None:
    class Broken(Accuracy):
        def compute_metrics(self, results: list[bool]) -> dict[str, float]:
            raise RuntimeError("broken metric")

    tried = runner(
        tmp_path / "broken", **two_sets(val_evaluator=Broken(), train_cfg={"max_epochs": 1, "val_sanity": 1})
    )
    with pytest.raises(RuntimeError, match="broken metric"):
        tried.train()
    assert tried.iter == 0
    points = Points()
    run = runner(tmp_path / "sound", custom_hooks=[points], **two_sets(train_cfg={"max_epochs": 1, "val_sanity": 2}))
    state = torch.get_rng_state()
    run.train()
    assert points.seen.count("begin") == 1, "no hook hears of the sanity validation"
    assert torch.equal(torch.get_rng_state(), state)


def test_sanity_validation_shows_four_decimal_places(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Third(Accuracy):
        def compute_metrics(self, results: list[bool]) -> dict[str, float]:
            return {"third": 1 / 3}

    settings = two_sets(val_evaluator=Third(), train_cfg={"max_epochs": 1, "val_sanity": 1}, log_level="INFO")
    runner(tmp_path, **settings).train()
    line = re.search(r"Sanity validation .+", capsys.readouterr().out)[0]
    assert line.startswith("Sanity validation (1 batch of each set) passed: ")
    assert line.count("/third: 0.3333") == 2
    assert "0.33333" not in line


def test_checkpoints_by_minutes(tmp_path: Path) -> None:
    runner(tmp_path, checkpoint={"interval": {"minutes": 1e-9}}, train_cfg={"max_epochs": 1}).train()
    assert sorted(path.name for path in tmp_path.glob("*.pth")) == [f"iter_{number}.pth" for number in (1, 2, 3, 4)]
    runner(tmp_path / "late", checkpoint={"interval": {"minutes": 1e9}}, train_cfg={"max_epochs": 1}).train()
    assert [path.name for path in (tmp_path / "late").glob("*.pth")] == ["iter_4.pth"]


# --- what a person sees of several sets


def test_the_start_names_each_set_and_counts_the_batches_of_all(tmp_path, capsys) -> None:
    runner(tmp_path, **two_sets(log_level="INFO")).val()
    line = re.search(r"^  data +(.+)$", capsys.readouterr().out, re.M)[1]
    assert line == "val/clean: 3 samples in 2 batches of 2, in order; val/noisy: 4 samples in 2 batches of 2, in order"
    many = {f"set{number}": loader(*NOISY) for number in range(5)}
    runner(tmp_path, val_dataloader=many, val_evaluator=Accuracy(), val_cfg={}, log_level="INFO").val()
    assert "val: 5 sets, 20 samples in 10 batches\n" in capsys.readouterr().out


def test_log_lines_and_bar_of_several_sets_name_the_set_and_move_forward(tmp_path, capsys, monkeypatch) -> None:
    drawn: list[tuple[int, int | None, str]] = []

    class DrawnBar(Bar):
        is_due = True

        def update(self, done: int, note: str | None = None) -> None:
            super().update(done, note)
            drawn.append((self.done, self.total, self.note))

    monkeypatch.setattr(progress, "Bar", DrawnBar)
    hooks = {"logger": {"type": "LoggerHook", "interval": 1}, "progress_bar": {"type": "ProgressBarHook"}}
    runner(tmp_path, **two_sets(log_level="INFO", hooks=hooks)).val()
    assert drawn == [(1, 4, "clean"), (2, 4, "clean"), (3, 4, "noisy"), (4, 4, "noisy")]
    places = re.findall(r"Epoch\(val\)\s*\[0\]\[(\d/2)\]  (\w+)", capsys.readouterr().out)
    assert places == [("1/2", "clean"), ("2/2", "clean"), ("1/2", "noisy"), ("2/2", "noisy")]
