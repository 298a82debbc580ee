from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hooks_parts import lines_of

from eng.hooks import Hook, LoggerHook


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(interval=2), ["2/5", "4/5"]),
        (dict(interval=2, ignore_last=False), ["2/5", "4/5", "5/5"]),
        (dict(interval=9), ["5/5"]),
    ],
    ids=["interval", "last", "short epoch"],
)
def test_which_iterations_have_a_line(make_runner, parts, options, expected) -> None:
    runner = make_runner(
        train_dataloader=parts.loader(10, 2), train_cfg=dict(max_epochs=1), log_level="INFO",
        default_hooks=dict(logger=dict(type="LoggerHook", **options)),
    )  # fmt: skip
    runner.train()
    shown = [
        line.split("Epoch(train)")[1].split("[")[2].split("]")[0] for line in lines_of(runner) if "Epoch(train)" in line
    ]
    assert shown == expected
    assert sum("Exp name: " in line for line in lines_of(runner)) == 1
    scalars = (Path(runner.log_dir) / "vis_data" / "scalars.json").read_text().splitlines()
    assert [json.loads(line)["step"] for line in scalars] == [int(text.split("/")[0]) for text in expected]


@pytest.mark.parametrize(
    ("samples", "interval"), [(6, 10), (2, 10), (10, 2)], ids=["short epoch", "one batch", "interval"]
)
def test_each_line_has_the_norm_of_its_own_gradients(make_runner, parts, samples, interval) -> None:
    gradients, norms = [], []

    class Norms(Hook):
        def before_train(self, runner):
            for weight in runner.model.parameters():
                weight.register_hook(lambda gradient: gradients.append(gradient.flatten()))

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            norms.append(float(torch.cat(gradients).norm()))
            gradients.clear()

    runner = make_runner(
        train_dataloader=parts.loader(samples, 2), train_cfg=dict(max_epochs=3), custom_hooks=[Norms()],
        default_hooks=dict(logger=dict(type="LoggerHook", interval=interval)),
    )  # fmt: skip
    runner.train()
    lines = (Path(runner.log_dir) / "vis_data" / "scalars.json").read_text().splitlines()
    logged = [(line["step"], line["grad_norm"]) for line in map(json.loads, lines)]
    assert len({round(norm, 6) for _, norm in logged}) > 1
    assert logged == [(step, pytest.approx(norms[step - 1])) for step, _ in logged]


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        return iter([(torch.ones(1), torch.ones(1))] * 6)


def test_lines_inside_a_validation_show_no_loss_of_the_last_one(make_runner, parts) -> None:
    runner = make_runner(
        **parts.validation(loss=[7.0, 5.0]), train_cfg=dict(max_epochs=2), log_level="INFO",
        default_hooks=dict(logger=dict(type="LoggerHook", interval=1)),
    )  # fmt: skip
    runner.train()
    lines = [line for line in lines_of(runner) if "Epoch(val)" in line]
    assert [line.partition("loss: ")[2][:6] for line in lines if "loss: " in line] == ["7.0000", "5.0000"]
    assert len(lines) > 4


def test_a_loss_that_a_loop_logs_in_each_iteration_is_shown(make_runner, parts) -> None:
    class Losses(Hook):
        priority = "VERY_HIGH"

        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            runner.message_hub.update_scalar("val/loss_step", batch_idx + 1.0)

    runner = make_runner(
        **parts.validation(acc=[0.5, 0.6]), train_cfg=dict(max_epochs=2), log_level="INFO", custom_hooks=[Losses()],
        default_hooks=dict(logger=dict(type="LoggerHook", interval=1)),
    )  # fmt: skip
    runner.train()
    lines = [line for line in lines_of(runner) if "Epoch(val)" in line and "acc" not in line]
    numbers = [line.partition("loss_step: ")[2][:6] for line in lines]
    assert numbers == [f"{number:.4f}" for number in range(1, len(lines) // 2 + 1)] * 2


@pytest.mark.parametrize("mode", ["val", "test"])
def test_a_pass_over_a_stream_is_logged_with_its_batches(make_runner, parts, mode) -> None:
    loader = torch.utils.data.DataLoader(Stream(), batch_size=2)
    settings = {f"{mode}_dataloader": loader, f"{mode}_cfg": {}, f"{mode}_evaluator": parts.Scores(acc=[0.5])}
    runner = make_runner(**settings, log_level="INFO")
    getattr(runner, mode)()
    (line,) = [line for line in lines_of(runner) if f"({mode})" in line]
    assert "[3/3]" in line


def test_the_name_of_the_run_is_repeated(make_runner) -> None:
    hooks = dict(logger=dict(type="LoggerHook", interval_exp_name=3))
    runner = make_runner(train_cfg=dict(by_epoch=False, max_iters=7), default_hooks=hooks, log_level="INFO")
    runner.train()
    assert sum("Exp name: " in line for line in lines_of(runner)) == 3  # 3, 6, and the end of the first pass


@pytest.mark.parametrize("keep_local", [True, False])
def test_logs_are_copied_at_the_end(make_runner, tmp_path, keep_local) -> None:
    hooks = dict(
        logger=dict(type="LoggerHook", out_dir=str(tmp_path / "logs"), out_suffix=".json", keep_local=keep_local)
    )
    runner = make_runner(default_hooks=hooks)
    runner.train()
    assert (tmp_path / "logs" / "run" / "vis_data" / "scalars.json").exists()
    assert (Path(runner.log_dir) / "vis_data" / "scalars.json").exists() is keep_local


def test_metrics_of_a_test_are_kept_as_a_file(make_runner, parts) -> None:
    given = dict(test_dataloader=parts.loader(), test_cfg={}, test_evaluator=parts.Scores(acc=[0.5]))
    runner = make_runner(**given)
    assert runner.test() == {"acc": 0.5}
    assert json.loads((Path(runner.log_dir) / f"{runner.timestamp}.json").read_text())["acc"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(interval=0), "interval must be a whole number, 1 or more, got 0"),
        (dict(interval_exp_name=0), "interval_exp_name must be a whole number, 1 or more, got 0"),
        (dict(out_dir=3), "out_dir must be a path or None, got int"),
        (dict(file_client_args={}, backend_args={}), "give backend_args only"),
    ],
    ids=["interval", "name", "out_dir", "both args"],
)
def test_logs_that_cannot_be(options, message) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        LoggerHook(**options)
