"""What an exception in training leaves behind."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from eng.evaluator import BaseMetric
from eng.hooks import Hook
from eng.model import BaseModel
from eng.runner import Runner
from eng.runner.errors import ResumeError
from eng.runner.loops._samples import sample_numbers


class Numbered(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __init__(self, broken: int | None = None) -> None:
        self.broken = broken

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if index == self.broken:
            raise OSError(f"cannot read sample {int(index)}")
        return {"inputs": torch.tensor(float(index))}


class Scale(BaseModel):
    def __init__(self, fails_at: int = -1, nan_at: int = -1, high_at: int = -1) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(1.0))
        self.drop = torch.nn.Dropout(0.5)
        self.fails_at, self.nan_at, self.high_at = fails_at, nan_at, high_at
        self.calls: list[list[int]] = []

    def forward(self, inputs: Any, mode: str = "tensor") -> Any:
        values = torch.stack(list(inputs)) if isinstance(inputs, list) else inputs
        if mode == "predict":
            return []
        self.calls.append([int(value) for value in values])
        place = len(self.calls) - 1
        if place == self.fails_at:
            raise RuntimeError("a broken step")
        factor = {self.nan_at: float("nan"), self.high_at: 1e4}.get(place, 1.0)
        return {"loss": (self.drop(values / 12 + 1) * self.weight).square().mean() * factor}


class Counts(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(1)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"batches": float(len(results))}


def runner_of(folder: Path, *, model: Scale, **more: Any) -> Runner:
    loader = {"batch_size": 3, "num_workers": 0, **more.pop("loader", {})}
    loader.setdefault("dataset", Numbered())
    settings: dict[str, Any] = dict(
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01)),
        randomness=dict(seed=3),
        log_level="INFO",
    )
    return Runner(model, str(folder), **{**settings, **more})


def log_of(folder: Path) -> str:
    newest = max(folder.glob("*/*.log"), key=lambda path: path.stat().st_mtime_ns)
    return newest.read_text(encoding="utf-8")


LOADERS: dict[str, dict[str, Any]] = {
    "default": {},
    "workers": {"loader": dict(num_workers=2)},
    "by iteration": {
        "train_cfg": dict(by_epoch=False, max_iters=12),
        "loader": dict(sampler=dict(type="InfiniteSampler", shuffle=True)),
    },
    "by iteration, finite": {"train_cfg": dict(by_epoch=False, max_iters=12)},
}


@pytest.mark.parametrize("case", [*LOADERS, "a loader of torch"])
@pytest.mark.parametrize("place", [0, 5, 7])
def test_the_samples_of_the_failed_batch_are_named(case: str, place: int, tmp_path: Path) -> None:
    model = Scale(fails_at=place)
    more = dict(LOADERS.get(case, {}))
    if case == "a loader of torch":
        more["train_dataloader"] = torch.utils.data.DataLoader(Numbered(), batch_size=3, shuffle=True)
    runner = runner_of(tmp_path, model=model, **more)
    with pytest.raises(RuntimeError, match="a broken step"):
        runner.train()
    numbers = ", ".join(map(str, model.calls[place]))
    assert f"iteration {place + 1} (samples {numbers} of the training dataset): RuntimeError: a broken step" in log_of(
        tmp_path
    )


def test_naming_samples_moves_no_generator(tmp_path: Path) -> None:
    class Asks(Hook):
        def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
            mine = [int(value) for value in data_batch["inputs"]]
            assert sample_numbers(runner.train_loop) == mine
            if batch_idx:
                assert sample_numbers(runner.train_loop, runner.iter - 1) == runner.model.calls[-1]

    plain, asked = Scale(), Scale()
    for model, hooks in ((plain, []), (asked, [Asks()])):
        loader = torch.utils.data.DataLoader(Numbered(), batch_size=3, shuffle=True)
        runner_of(tmp_path / str(len(hooks)), model=model, train_dataloader=loader, custom_hooks=hooks).train()
    assert plain.calls == asked.calls
    assert torch.equal(plain.weight, asked.weight)


def test_a_failed_step_leaves_its_weights_for_load_from_alone(tmp_path: Path) -> None:
    model = Scale(fails_at=5)
    with pytest.raises(RuntimeError, match="a broken step"):
        runner_of(tmp_path, model=model).train()
    (path,) = tmp_path.glob("*/failed_iter_5.pth")
    assert str(path) in log_of(tmp_path)
    reference = Scale()
    runner_of(tmp_path / "reference", model=reference, train_cfg=dict(by_epoch=False, max_iters=5)).train()
    assert torch.equal(torch.load(path, weights_only=True)["state_dict"]["weight"], reference.weight.detach())
    with pytest.raises(ResumeError, match="before an iteration that failed"):
        runner_of(tmp_path / "again", model=Scale(), resume=str(path)).train()
    again = runner_of(tmp_path, model=Scale(), resume=True)  # the newest regular checkpoint: behind epoch 1
    again.train()
    assert len(again.model.calls) == 8


@pytest.mark.parametrize("where", ["worker", "validation"])
def test_a_failure_between_two_steps_goes_on_bit_by_bit(where: str, tmp_path: Path) -> None:
    more: dict[str, Any] = dict(default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=100)))

    def validating(breaks: bool) -> dict[str, Any]:
        if where == "worker":
            broken = 4 if breaks else None
            return {**more, "loader": dict(num_workers=2, dataset=Numbered(broken))}
        return {
            **more,
            "val_dataloader": dict(dataset=Numbered(2 if breaks else None), batch_size=3, num_workers=0),
            "val_cfg": dict(),
            "val_evaluator": dict(type=Counts),
        }

    with pytest.raises(OSError, match="cannot read sample"):
        runner_of(tmp_path / "run", model=Scale(), **validating(True)).train()
    path = next((tmp_path / "run").glob("failed_iter_*.pth"))
    assert f"The state before it is in {path}; resume=True" in log_of(tmp_path / "run")
    resumed, reference = Scale(), Scale()
    runner_of(tmp_path / "run", model=resumed, resume=True, **validating(False)).train()
    runner_of(tmp_path / "reference", model=reference, **validating(False)).train()
    assert torch.equal(resumed.weight, reference.weight)
    assert resumed.calls == reference.calls[len(reference.calls) - len(resumed.calls) :]


def test_no_checkpoint_is_written_of_a_half_done_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, closure: Any = None) -> None:
        self.param_groups[0]["params"][0].data.add_(1.0)
        raise RuntimeError("half done")

    monkeypatch.setattr(torch.optim.SGD, "step", broken)
    with pytest.raises(RuntimeError, match="half done"):
        runner_of(tmp_path, model=Scale()).train()
    assert not list(tmp_path.rglob("failed*.pth"))
    assert "No checkpoint is written: the optimizer's step may be half done" in log_of(tmp_path)


def test_on_error_raise_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a broken step"):
        runner_of(tmp_path, model=Scale(fails_at=1), on_error="raise").train()
    assert not list(tmp_path.rglob("failed*.pth"))


def test_a_loss_that_is_not_finite_names_its_samples(tmp_path: Path) -> None:
    model = Scale(nan_at=6)
    runner_of(tmp_path, model=model, nan_policy=dict(type="warn", interval=1)).train()
    numbers = ", ".join(map(str, model.calls[6]))
    assert f"the first at iteration 7 (samples {numbers} of the training dataset)" in log_of(tmp_path)


@pytest.mark.parametrize("action", ["warn", "stop", "rollback"])
def test_a_loss_spike_is_found_where_it_is(action: str, tmp_path: Path) -> None:
    from eng.runner.errors import LossSpikeError

    model = Scale(high_at=6)
    settings: dict[str, Any] = dict(
        loss_spike=dict(factor=100, window=4, action=action),
        nan_policy=dict(type="warn", interval=2),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=4)),
    )
    runner = runner_of(tmp_path, model=model, **settings)
    if action == "stop":
        with pytest.raises(LossSpikeError, match="iteration 7 gave a loss of"):
            runner.train()
    else:
        runner.train()
        assert runner.iter == 12
    numbers = ", ".join(map(str, model.calls[6]))
    assert f"(samples {numbers} of the training dataset)" in log_of(tmp_path)
    if action == "rollback":  # iterations 5, 6 again, 7 left out, then 8 to 12
        repeated = [*model.calls[:8], *model.calls[4:6], *itertools.islice(model.calls, 10, None)]
        assert model.calls == repeated
        assert len(model.calls) == 8 + 2 + 5
        assert abs(model.weight.item()) < 10


class TakesTensors(Scale):
    def forward(self, inputs: Any, mode: str = "tensor") -> Any:
        return {"loss": (inputs * self.weight).square().mean()}


def test_the_line_of_a_failure_has_the_notes_of_the_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings: dict[str, Any] = dict(
        train_cfg=dict(max_epochs=1), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1))
    )
    loader: dict[str, Any] = dict(dataset=Numbered(), batch_size=4)
    with pytest.raises(TypeError, match="single element") as info:
        Runner(TakesTensors(), str(tmp_path), train_dataloader=loader, **settings).train()
    advice = "write train_dataloader=dict(..., collate_fn=dict(type='default_collate'))"
    assert advice in log_of(tmp_path)
    if hasattr(info.value, "__notes__"):  # what shows the exception shows this, and the console says nothing twice
        assert [advice in note for note in info.value.__notes__[:2]] == [True, False]
        assert advice not in capsys.readouterr().out
        assert "There is no regular checkpoint yet" in info.value.__notes__[1]
    loader["collate_fn"] = dict(type="default_collate")
    Runner(TakesTensors(), str(tmp_path), train_dataloader=loader, **settings).train()


def test_a_hook_that_refuses_the_run_leaves_nothing_and_is_heard_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = runner_of(tmp_path, model=Scale(), custom_hooks=[dict(type="FreezeHook", patterns=["wieght"])])
    with pytest.raises(ValueError, match="no parameter's name fits 'wieght'") as info:
        runner.train()
    assert not list(tmp_path.rglob("failed*.pth"))
    assert "Training failed before the first iteration: UsageError: FreezeHook: no parameter" in log_of(tmp_path)
    if hasattr(info.value, "__notes__"):
        notes = ["raised by FreezeHook at before_train", "raised before the first iteration"]
        assert info.value.__notes__[:2] == notes
        assert "wieght" not in capsys.readouterr().out
