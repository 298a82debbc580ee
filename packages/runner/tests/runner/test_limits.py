"""Parts of the data: limited passes, repeated batches, and ``eng train --fast``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from stream_runs import Gone, Line, Squares, Strike, run
from torch.utils.data import DataLoader

from eng.config import Config
from eng.evaluator import BaseMetric
from eng.runner import Runner
from eng.runner._fast import fast_config, run_fast
from eng.runner.call import ORIGINAL_CALL
from eng.runner.loops._limits import with_limit


class Predicting(Line):
    def forward(self, number: Any, mode: str = "tensor") -> Any:
        return [{} for _ in number] if mode == "predict" else super().forward(number, mode)


class Share(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += data_samples

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"share": 1.0}


def as_numbers(items: list[int]) -> dict[str, torch.Tensor]:
    return {"number": torch.tensor(items)}


def numbers(**options: Any) -> DataLoader[Any]:
    return DataLoader(Squares(), batch_size=2, collate_fn=lambda items: {"number": torch.tensor(items)}, **options)


def test_a_limit_shortens_each_pass(tmp_path: Path) -> None:
    runner = run(tmp_path, numbers(), {"max_epochs": 2, "limit_batches": 3})
    runner.train()
    assert (runner.iter, runner.max_iters) == (6, 6)
    assert runner.model.seen == [0, 1, 2, 3, 4, 5] * 2


class Sized(torch.utils.data.IterableDataset):
    """A stream that knows its length."""

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Any:
        return iter(range(4))


@pytest.mark.parametrize(
    ("dataset", "options", "expected_messages", "advises_sampler"),
    [
        (Squares(), {}, 1, True),
        (Squares(), {"limit_batches": 2}, 1, False),
        (Squares(), {"overfit_batches": 2}, 0, False),
        (Sized(), {}, 1, False),
        (Sized(), {"overfit_batches": 2}, 0, False),
    ],
    ids=["map", "limit", "overfit", "stream", "overfit-stream"],
)
def test_the_end_of_a_pass_advises_a_sampler_only_where_it_would_help(
    dataset: Any,
    options: dict[str, Any],
    expected_messages: int,
    advises_sampler: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    loader = DataLoader(dataset, batch_size=2, collate_fn=lambda items: {"number": torch.tensor(items)})
    run(tmp_path, loader, {"by_epoch": False, "max_iters": 7, **options}).train()
    messages = [record.getMessage() for record in caplog.records if "Reached the end" in record.getMessage()]
    assert len(messages) == expected_messages
    assert ("InfiniteSampler" in caplog.text) == advises_sampler


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_limited_run_resumes_with_the_same_samples(at: int, tmp_path: Path) -> None:
    cfg = {"max_epochs": 3, "limit_batches": 2}
    whole = run(tmp_path / "whole", numbers(shuffle=True), cfg)
    whole.train()
    with pytest.raises(Gone):
        run(tmp_path / "stopped", numbers(shuffle=True), cfg, custom_hooks=[Strike(at)]).train()
    resumed = run(tmp_path / "stopped", numbers(shuffle=True), cfg, resume=True)
    resumed.train()
    assert resumed.model.seen == whole.model.seen[2 * at :]
    assert resumed.iter == whole.iter == 6


def test_overfitting_gives_the_same_batches_in_each_pass_and_after_a_resume(tmp_path: Path) -> None:
    cfg = {"max_epochs": 3, "overfit_batches": 2}
    whole = run(tmp_path / "whole", numbers(shuffle=True), cfg)
    whole.train()
    first = whole.model.seen[:4]
    assert whole.model.seen == first * 3
    with pytest.raises(Gone):
        run(tmp_path / "stopped", numbers(shuffle=True), cfg, custom_hooks=[Strike(3)]).train()
    resumed = run(tmp_path / "stopped", numbers(shuffle=True), cfg, resume=True)
    resumed.train()
    assert resumed.model.seen == (first * 3)[6:]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, None), "limit_batches must be a whole number, 1"),
        ((None, 1.5), "overfit_batches must be"),
        ((1, 1), "not both"),
    ],
)
def test_limits_of_another_form_are_refused(arguments: tuple[Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_limit([1, 2], *arguments)


def test_the_config_of_a_fast_run_is_short_and_writes_nowhere_else() -> None:
    cfg = {
        "train_cfg": {"by_epoch": False, "max_iters": 900, "val_interval": 100, "dynamic_intervals": [(5, 2)]},
        "val_dataloader": {"a": {"dataset": 1}, "b": {"dataset": 2}}, "val_cfg": {"a": {"fp16": True}, "b": {}},
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", "out_dir": "s3://x", "save_best": "a/m"}},
        "visualizer": {"vis_backends": [{"type": "WandbVisBackend"}]},
    }  # fmt: skip
    fast = fast_config(cfg, "here", rounds=2)
    assert fast["train_cfg"] == {"by_epoch": False, "max_iters": 6, "val_interval": 3, "val_sanity": 2}
    assert fast["val_cfg"] == {"a": {"fp16": True, "limit_batches": 3}, "b": {"limit_batches": 3}}
    assert fast["default_hooks"]["checkpoint"] == {"type": "CheckpointHook", "save_best": "a/m", "interval": 3}
    assert fast["visualizer"]["vis_backends"] == [{"type": "LocalVisBackend"}]
    assert fast["work_dir"] == "here"
    assert cfg["train_cfg"]["max_iters"] == 900


@pytest.mark.parametrize("validates", [True, False])
def test_a_fast_run_names_no_file_of_the_folder_that_it_removes(
    validates: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv(ORIGINAL_CALL, '["train", "config.py", "--fast"]')
    loader = dict(dataset=dict(type=Squares), batch_size=2, num_workers=0, collate_fn=dict(type=as_numbers))
    cfg = Config(dict(
        model=dict(type=Predicting), train_dataloader=loader, train_cfg=dict(max_epochs=9),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
    ))  # fmt: skip
    if validates:
        cfg.update(val_dataloader=loader, val_cfg={}, val_evaluator=dict(type=Share))
    lines: list[str] = []
    run_fast(cfg, Runner.from_cfg, lines.append)
    assert lines[1].startswith(f"Trained{', validated' if validates else ''} and saved: iteration 3, ")
    assert lines[-1].endswith("is removed")
    assert list(tmp_path.glob("eng-fast-*")) == []
    printed = "".join(capfd.readouterr())
    closing = printed[printed.index("Done: ") :].partition("Load checkpoint")[0]
    assert closing.splitlines()[0] == "Done: 1 epoch, 3 iterations."
    assert "eng-fast-" not in closing
