"""What a Runner may be given, and what it says when the parts do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from eng.evaluator import BaseMetric, Evaluator
from eng.model import BaseModel
from eng.runner import (
    IncompleteSettingsError,
    IterBasedTrainLoop,
    MissingPartError,
    ModelContractError,
    Runner,
    SettingsError,
)


@pytest.mark.parametrize("left_out", ["train_dataloader", "train_cfg", "optim_wrapper"])
def test_parts_of_training_come_together(make_runner, left_out) -> None:
    with pytest.raises(
        IncompleteSettingsError, match=rf"without {left_out}: they should be either all None or not None"
    ):
        make_runner(**{left_out: None})


@pytest.mark.parametrize("mode", ["val", "test"])
@pytest.mark.parametrize("left_out", ["dataloader", "cfg", "evaluator"])
def test_parts_of_an_evaluation_come_together(make_runner, parts, mode, left_out) -> None:
    given = {f"{mode}_dataloader": parts.loader(), f"{mode}_cfg": {}, f"{mode}_evaluator": parts.Scores(acc=[1])}
    given.pop(f"{mode}_{left_out}")
    with pytest.raises(IncompleteSettingsError, match=rf"without {mode}_{left_out}"):
        make_runner(**given)


def test_a_scheduler_needs_an_optimizer(make_runner, parts) -> None:
    given = dict(train_dataloader=None, train_cfg=None, optim_wrapper=None, test_cfg={}, test_dataloader=parts.loader())
    with pytest.raises(IncompleteSettingsError, match="param_scheduler is given without optim_wrapper"):
        make_runner(**given, test_evaluator=parts.Scores(acc=[1]), param_scheduler=dict(type="StepLR", step_size=1))


@pytest.mark.parametrize("action", ["train", "val", "test"])
def test_an_action_without_its_parts_names_them(make_runner, action) -> None:
    runner = make_runner(train_dataloader=None, train_cfg=None, optim_wrapper=None)
    with pytest.raises(MissingPartError, match=rf"{action}\(\) needs {action}_dataloader") as caught:
        getattr(runner, action)()
    assert isinstance(caught.value, RuntimeError)
    assert f"{action}_cfg" in caught.value.missing


@pytest.mark.parametrize(
    ("train_cfg", "message"),
    [
        (dict(by_epoch=True), "needs 'max_epochs'"),
        (dict(by_epoch=False, max_epochs=2), "needs 'max_iters'"),
        (dict(type="EpochBasedTrainLoop", by_epoch=True, max_epochs=1), "both 'type' and 'by_epoch'"),
    ],
    ids=["no length", "length of the other kind", "type and by_epoch"],
)
def test_a_train_cfg_that_does_not_say_how_long(make_runner, train_cfg, message) -> None:
    with pytest.raises(SettingsError, match=message):
        make_runner(train_cfg=train_cfg).train()


@pytest.mark.parametrize("number", [-1, 1.5])
@pytest.mark.parametrize("unit", ["epochs", "iters"])
def test_a_length_is_a_whole_number(make_runner, unit, number) -> None:
    with pytest.raises(ValueError, match=f"max_{unit} must be a whole number"):
        make_runner(train_cfg={"by_epoch": unit == "epochs", f"max_{unit}": number}).train()


def test_a_config_without_model_or_work_dir() -> None:
    with pytest.raises(SettingsError, match="lacks model and work_dir; it has"):
        Runner.from_cfg({"train_cfg": {"max_epochs": 1}})


def test_unknown_names_in_a_config_are_listed_with_near_ones(tmp_path) -> None:
    cfg = dict(model=dict(type="ToyModel"), work_dir=str(tmp_path), custom_hooks=[dict(type="EMAHok", momentun=0.1)])
    with pytest.raises(SettingsError, match="EMAHook"):
        Runner.from_cfg(cfg)
    cfg["custom_hooks"] = [dict(type="EMAHook", begin_epok=1), dict(type="EarlyStoppingHook", monitr="acc")]
    with pytest.raises(SettingsError, match="monitor"):
        Runner.from_cfg(cfg)


class ValidatesOnly(nn.Module):
    def forward(self, x):
        return x

    def val_step(self, data):
        return self(data)


def test_a_model_without_train_step(make_runner) -> None:
    with pytest.raises(ModelContractError, match=r"ValidatesOnly has no train_step\(\).*BaseModel"):
        make_runner(model=ValidatesOnly())


def test_a_model_that_is_neither_module_nor_config(make_runner) -> None:
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module or a config of one, got int"):
        make_runner(model=3)


def test_a_batch_of_an_unexpected_type(make_runner) -> None:
    with pytest.raises(TypeError, match="a dict, a tuple or a list; .* came a str"):
        make_runner(train_dataloader=["not a batch"]).train()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(nan_policy="ignore"), "nan_policy must be one of warn, stop, skip, rollback"),
        (dict(cfg=3), "cfg must be a Config or a mapping"),
        (dict(visualizer=3), "visualizer must be a Visualizer or a config"),
        (dict(log_processor=3), "log_processor must be a LogProcessor or a config"),
        (dict(custom_hooks=["EMAHook"]), "a hook is a Hook or a config of one, got str"),
        (dict(strategy=3), "strategy must be a strategy, a name or a config"),
        (dict(activation_checkpointing=["fitt"]), "Line lacks; did you mean 'fit'"),
    ],
    ids=["nan_policy", "cfg", "visualizer", "log_processor", "hook", "strategy", "activation_checkpointing"],
)
def test_settings_of_a_wrong_kind(make_runner, changes, message) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make_runner(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(optim_wrapper=3), "must be an OptimWrapper, an optimizer or a config, got int"),
        (dict(optim_wrapper=dict(type="OptimWrapper")), "needs an 'optimizer'"),
        (dict(param_scheduler=3), "a parameter scheduler is an object or a config, got int"),
        (dict(train_cfg=3), "train_cfg must be a loop or a config of one, got int"),
        (dict(train_dataloader=dict(batch_size=2)), "a dataloader config needs a 'dataset'"),
        (dict(compile=dict(target="train_stp")), "has no such method"),
    ],
    ids=["optim_wrapper", "no optimizer", "param_scheduler", "train_cfg", "dataloader", "compile target"],
)
def test_parts_that_cannot_be_built(make_runner, changes, message) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make_runner(**changes).train()


def test_parts_are_built_only_when_they_are_needed(make_runner) -> None:
    runner = make_runner()
    assert isinstance(runner.train_part.peek(), dict)
    assert isinstance(runner.optim_wrapper, dict)
    assert (runner.epoch, runner.iter) == (0, 0)
    assert isinstance(runner.train_part.peek(), dict), "epoch and iter build nothing"


def test_reading_a_loop_builds_it(make_runner, parts) -> None:
    evaluation = {"val_dataloader": parts.loader(7, 2), "val_cfg": {}, "val_evaluator": parts.Scores(acc=[1, 1])}
    runner = make_runner(train_cfg=dict(max_epochs=2, val_interval=2, val_begin=2), **evaluation)
    batches = len(runner.train_dataloader)
    assert (runner.max_epochs, runner.max_iters) == (2, 2 * batches)
    assert (runner.val_interval, runner.val_begin) == (2, 2)
    assert runner.train_loop is runner.train_part.peek() and runner.train_loop.dataloader is runner.train_dataloader
    assert runner.val_loop is runner.val_part.peek() and runner.val_evaluator is runner.val_loop.evaluator
    assert len(runner.val_dataloader) == 4
    assert runner.test_loop is None and runner.test_dataloader is None and runner.test_evaluator is None
    loop = runner.train_loop
    runner.train()
    assert runner.train_loop is loop and runner.iter == 2 * batches


@pytest.mark.parametrize(("by_epoch", "end"), [(True, 2), (False, 8)])
def test_schedulers_built_before_training_end_with_the_run(make_runner, by_epoch, end) -> None:
    runner = make_runner(train_cfg=dict(max_epochs=2))
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    schedulers = runner.build_param_scheduler(dict(type="MultiStepLR", milestones=[1], by_epoch=by_epoch))
    assert [scheduler.end for scheduler in schedulers] == [end if by_epoch else runner.max_iters]


def test_a_loop_may_be_assigned_as_hooks_of_mmengine_do(make_runner) -> None:
    runner = make_runner()
    runner.train_part.replace(dict(by_epoch=True, max_epochs=5))
    assert runner.max_epochs == 5
    loop = runner.train_loop
    runner.train_part.replace(loop)
    assert runner.train_loop is loop


def test_a_test_does_not_build_the_training_loop(make_runner, parts) -> None:
    test = {"test_dataloader": parts.loader(4, 2), "test_cfg": {}, "test_evaluator": parts.Scores(acc=[1])}
    runner = make_runner(train_dataloader=dict(dataset=dict(type="MissingDataset"), batch_size=1), **test)
    runner.test()
    assert isinstance(runner.train_part.peek(), dict)


class Count(BaseMetric):
    """Number of samples."""

    def process(self, data_batch, data_samples) -> None:
        self.results.extend(data_samples)

    def compute_metrics(self, results) -> dict:
        return {"count": len(results)}


class OwnEvaluate(BaseMetric):
    """A metric that collects and evaluates by itself, as some of mmagic's and opencompass's do."""

    def process(self, data_batch, data_samples) -> None:
        self.seen = getattr(self, "seen", 0) + len(data_samples)

    def compute_metrics(self, results) -> dict:
        raise NotImplementedError

    def evaluate(self, size=None) -> dict:
        return {"count": self.seen}


@pytest.mark.parametrize("metric", [Count, OwnEvaluate])
@pytest.mark.parametrize("wrap", [lambda metric: metric, lambda metric: [metric], lambda metric: (metric,)])
def test_metrics_may_be_objects(make_runner, parts, metric, wrap) -> None:
    for mode in ("val", "test"):
        data = {f"{mode}_dataloader": parts.loader(7, 2), f"{mode}_cfg": {}, f"{mode}_evaluator": wrap(metric())}
        runner = make_runner(**data)
        assert getattr(runner, mode)()["count"] == 7
        assert isinstance(getattr(runner, f"{mode}_evaluator"), Evaluator)


def test_built_parts_are_taken_as_they_are(make_runner, parts) -> None:
    model = parts.Line()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    runner = make_runner(model=model, optim_wrapper=optimizer)
    runner.train()
    assert runner.model is model
    assert runner.optim_wrapper.optimizer is optimizer


def test_the_layout_of_a_work_dir(make_runner, tmp_path) -> None:
    runner = make_runner(cfg=dict(a=1), experiment_name="exp")
    runner.train()
    assert runner.experiment_name == f"exp_{runner.timestamp}"
    assert runner.log_dir == str(tmp_path / "run" / runner.timestamp)
    names = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*") if p.is_file()}
    stamp = runner.timestamp
    assert {"epoch_1.pth", "epoch_2.pth", "last_checkpoint", f"{stamp}.py", f"{stamp}/{stamp}.log"} <= names
    assert f"{stamp}/vis_data/scalars.json" in names


def test_auto_scale_lr_scales_by_the_batch_size(make_runner) -> None:
    runner = make_runner(auto_scale_lr=dict(enable=True, base_batch_size=8))
    runner.train()
    assert runner.optim_wrapper.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 2 / 8)


@pytest.mark.parametrize("cfg", [None, dict(base_batch_size=8), dict(enable=False, base_batch_size=8)], ids=str)
def test_learning_rates_stay_unless_scaling_is_enabled(make_runner, cfg) -> None:
    runner = make_runner(auto_scale_lr=cfg)
    runner.train()
    assert runner.optim_wrapper.optimizer.param_groups[0]["lr"] == 0.1


def test_scaling_needs_a_base_batch_size(make_runner) -> None:
    with pytest.raises(ValueError, match="positive 'base_batch_size', got None"):
        make_runner(auto_scale_lr=dict(enable=True)).train()


def test_a_seed_makes_two_runs_equal(make_runner, tmp_path) -> None:
    class Drops(BaseModel):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.5), nn.Linear(8, 1))

        def forward(self, x, y, mode="tensor"):
            return {"loss": (self.net(x) - y).square().mean()}

    ends = []
    for name in ("a", "b"):
        torch.manual_seed(3)
        ends.append(make_runner(model=Drops(), work_dir=tmp_path / name).train().state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


class Drawn(Dataset):
    """Samples that a transform would draw."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.rand(())


@pytest.mark.parametrize("change", ["at the start", "later"])
@pytest.mark.parametrize("per_sample", [True, False])
def test_a_sample_draws_by_itself_unless_that_is_off(make_runner, per_sample, change) -> None:
    loader = dict(dataset=Drawn(), batch_size=2, sampler=dict(type="DefaultSampler", shuffle=False))
    if change == "later":
        runner = make_runner(randomness=dict(seed=1, per_sample=not per_sample))
        runner.set_randomness(seed=1, per_sample=per_sample)
    else:
        runner = make_runner(randomness=dict(seed=1, per_sample=per_sample))
    batches = IterBasedTrainLoop(runner, loader, max_iters=2).dataloader
    drawn = []
    for state in (3, 4):  # of the process, on which its samples may depend
        torch.manual_seed(state)
        drawn.append([float(x) for batch in batches for x in batch])
    assert (drawn[0] == drawn[1]) is per_sample
