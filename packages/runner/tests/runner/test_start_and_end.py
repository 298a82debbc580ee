"""What a run prints at its beginning and its end, and which weights an evaluation takes."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from eng.checkpoint import LoadReport
from eng.config import CommandLineOptions, Config
from eng.hooks import CheckpointHook, Hook
from eng.hooks.start_report import config_facts, data_facts, model_facts
from eng.logging._details import showing_details
from eng.runner.assemble.hooks import with_default_hooks
from eng.runner.assemble.idle_schedules import idle_schedules
from eng.runner.call import ORIGINAL_CALL, command, original_words, resume_hint, resume_words
from eng.runner.errors import RunInterrupted, SettingsError, WrongCheckpointError
from eng.runner.state.policy import check_match, find_trained_checkpoint

DETAILS = ("System environment", "Hooks, point by point", "Exp name")


def test_a_start_fits_a_screen_and_the_file_has_the_rest(make_runner, capsys) -> None:
    runner = make_runner(log_level="INFO")
    runner.train()
    printed = capsys.readouterr().out
    before = printed[: printed.index("Epoch(train)")]
    assert len(before.splitlines()) <= 16
    for name in ("run", "work dir", "device", "precision", "model", "data", "length", "optimizer", "report"):
        assert re.search(rf"^  {name} ", before, re.M), name
    log = (Path(runner.log_dir) / f"{runner.timestamp}.log").read_text()
    for detail in DETAILS:
        assert detail not in printed
        assert detail in log
    assert log.count("- eng - INFO - Epoch(train)") == printed.count("- eng - INFO - Epoch(train)") > 0


def test_details_are_printed_where_they_are_asked_for(make_runner, capsys) -> None:
    with showing_details():
        make_runner(log_level="INFO")
    printed = capsys.readouterr().out
    assert all(detail in printed for detail in DETAILS[:2])


def test_the_end_names_files_that_are_there(make_runner, capsys) -> None:
    make_runner(log_level="INFO").train()
    end = capsys.readouterr().out.partition("Done: ")[2]
    assert re.match(r"\d+ epochs?, \d+ iterations?\.\nTime: 0:\d\d:\d\d\n", end)
    for name in ("Last checkpoint", "Log", "Curves"):
        assert Path(re.search(rf"^{name}: (.+)$", end, re.M)[1]).exists(), name


def test_facts_of_a_model_count_what_is_trained() -> None:
    model = nn.Sequential(nn.Linear(40, 50), nn.Linear(50, 1))
    assert model_facts(model, "Net") == "Net, 2,101 parameters, all trainable"
    model[1].requires_grad_(False)
    assert model_facts(model, "Net") == "Net, 2,101 parameters, 2,050 trainable"
    assert "unknown size" in model_facts(nn.LazyLinear(3), "Net")


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim has Muon from 2.9 on")
def test_each_of_two_optimizers_has_its_facts(make_runner, capsys) -> None:
    split = dict(type="AdamW", lr=1e-3, weight_decay=0.0)
    make_runner(log_level="INFO", optim_wrapper=dict(optimizer=dict(type="Muon", lr=0.02, split=split))).train()
    assert re.search(r"^  optimizer  Muon, lr 0.02, .*, with AdamW, lr 0.001$", capsys.readouterr().out, re.M)


def test_facts_of_a_config_name_what_the_command_line_changed(tmp_path) -> None:
    (tmp_path / "a.py").write_text("model = dict(depth=18, stages=[dict(width=1), dict(width=2)])\nlr = 0.1\n")
    cfg = Config.fromfile(tmp_path / "a.py")
    assert config_facts(cfg).endswith("a.py")
    cfg.merge_from_dict(CommandLineOptions({"model.depth": 50, "model.stages.1.width": 3}))
    assert config_facts(cfg).endswith("a.py, changed by model.depth=50, model.stages.1.width=3")
    assert config_facts(Config({"a": 1})) == ""


# --- commands ---------------------------------------------------------------------------------------------------------


def test_a_command_is_quoted_and_leads_to_the_folder_of_the_run(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    assert command(["curves", "my runs"]).endswith(" curves 'my runs'")
    monkeypatch.setenv("PWD", "/")
    assert command(["curves", "a"]).startswith(f"cd {tmp_path} && ")
    monkeypatch.setitem(sys.modules, "mmengine", sys)  # a library under the alias
    assert command(["curves", "a"]).startswith(f"cd {tmp_path} && ENG_COMPAT=1 ")


def test_nox_puts_no_eng_on_the_path_of_its_user(monkeypatch, tmp_path) -> None:
    eng = Path(os.sys.executable).absolute().with_name("eng")
    monkeypatch.setattr("shutil.which", lambda name: str(eng) if name == "eng" else None)
    monkeypatch.delenv("NOX_CURRENT_SESSION", raising=False)
    assert command(["env"]).split(" && ")[-1] == "eng env"
    monkeypatch.setenv("NOX_CURRENT_SESSION", "train")
    assert command(["env"]).endswith("-m eng.cli env")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "a.py"], ["train", "a.py", "--resume"]),
        (["train", "a.py", "--resume"], ["train", "a.py", "--resume"]),
        (["train", "a.py", "--resume", "x.pth", "--amp"], ["train", "a.py", "--amp", "--resume"]),
        (["train", "--resume=x.pth", "a.py"], ["train", "a.py", "--resume"]),
    ],
)
def test_words_that_resume(words, expected) -> None:
    assert resume_words(words) == expected


def test_processes_of_nproc_know_what_the_user_typed(monkeypatch) -> None:
    monkeypatch.setenv(ORIGINAL_CALL, '["train", "a b.py", "--nproc", "2"]')
    assert original_words() == ["train", "a b.py", "--nproc", "2"]
    assert "train 'a b.py' --nproc 2 --resume" in resume_hint("w")


def test_what_reproduce_began_is_resumed_by_train(monkeypatch) -> None:
    monkeypatch.setenv(ORIGINAL_CALL, '["reproduce", "runs/1", "--trust", "--work-dir", "again"]')
    assert "train runs/1/run_config.py --work-dir again --resume\n" in resume_hint("again", "runs/1/run_config.py")


class Stop(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        raise RunInterrupted("SIGTERM", checkpoint="iter_1.pth", position="epoch 1")


def test_the_log_of_an_interrupted_reproduce_says_how_train_goes_on(make_runner, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv(ORIGINAL_CALL, '["reproduce", "runs/1", "--trust"]')
    (tmp_path / "run_config.py").write_text("a = 1", encoding="utf-8")
    cfg = Config.fromfile(tmp_path / "run_config.py")
    runner = make_runner(custom_hooks=[Stop()], log_level="INFO", cfg=cfg)
    with pytest.raises(RunInterrupted, match="stopped by SIGTERM at epoch 1"):
        runner.train()
    log = next(Path(runner.log_dir).glob("*.log")).read_text(encoding="utf-8")
    advice = re.search(r"To resume:\n  .*", log)
    assert advice is not None
    assert "reproduce" not in advice[0]
    assert re.search(r" train \S*run_config.py --work-dir \S*run --resume$", advice[0])


def test_a_script_is_started_again_with_resume(monkeypatch) -> None:
    monkeypatch.delenv(ORIGINAL_CALL, raising=False)
    monkeypatch.setattr("sys.argv", ["my train.py", "--lr", "1"])
    monkeypatch.setattr("eng.runner.call._main_module", lambda: None)
    hint = resume_hint("w")
    assert "resume=True" in hint
    assert hint.endswith("'my train.py' --lr 1")
    monkeypatch.setattr("sys.argv", [""])
    assert hint.splitlines()[0].removesuffix(" and run:") + "." == resume_hint("w")


def test_a_debugger_that_empties_the_main_module_is_no_command_of_eng(monkeypatch) -> None:
    """`python -m pdb` removes ``__spec__`` before Python 3.13."""
    monkeypatch.delattr(sys.modules["__main__"], "__spec__")
    monkeypatch.setattr("sys.argv", ["train.py"])
    assert "resume=True" in resume_hint("w")


# --- which weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loaded", "in_file", "used", "trains", "fits"),
    [(0, 9, 0, True, False), (49, 100, 49, True, False), (49, 49, 49, True, True), (49, 49, 49, False, False),
     (50, 500, 50, False, True), (100, 100, 100, True, True)],
)  # fmt: skip
def test_a_checkpoint_of_another_model_is_refused(loaded, in_file, used, trains, fits) -> None:
    report = LoadReport(num_parameters=100, num_loaded=loaded, num_in_file=in_file, num_used=used)
    if fits:
        check_match(report, "a.pth", trains=trains)
        return
    with pytest.raises(WrongCheckpointError, match=rf"load_from='a.pth' .*{loaded}\.0% of .*allow_partial"):
        check_match(report, "a.pth", trains=trains)


def test_load_from_is_judged_unless_partial_weights_are_allowed(make_runner, tmp_path) -> None:
    torch.save({"state_dict": {"other.weight": torch.ones(3, 3)}}, tmp_path / "x.pth")
    with pytest.raises(WrongCheckpointError, match=r"it holds 'other\.weight'"):
        make_runner(load_from=str(tmp_path / "x.pth")).train()
    make_runner(load_from=str(tmp_path / "x.pth"), cfg={"allow_partial": True}).train()
    with pytest.raises(FileNotFoundError, match=r"load_from: there is no checkpoint .*y\.pth; did you mean 'x\.pth"):
        make_runner(load_from=str(tmp_path / "y.pth")).train()


def test_an_evaluation_takes_the_best_then_the_newest(tmp_path) -> None:
    assert find_trained_checkpoint(str(tmp_path / "none")) is None
    assert find_trained_checkpoint(str(tmp_path)) is None
    torch.save({"meta": {"iter": 1}, "state_dict": {}}, tmp_path / "epoch_1.pth")
    assert find_trained_checkpoint(str(tmp_path)) == str(tmp_path / "epoch_1.pth")
    for number, name in enumerate(("best_loss_epoch_3.pth", "best_acc_epoch_2.pth")):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (number, number))
    assert find_trained_checkpoint(str(tmp_path)) == str(tmp_path / "best_acc_epoch_2.pth")


# --- slips ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hook"),
    [("checkpont", {"type": "CheckpointHook"}), ("loger", {"type": "LoggerHook"}), ("chekpoint", CheckpointHook())],
)
def test_a_slip_in_the_name_of_a_default_hook_is_refused(name, hook) -> None:
    with pytest.raises(SettingsError, match=rf"default_hooks\.{name} would be a second .*did you mean"):
        with_default_hooks({name: hook})


@pytest.mark.parametrize("name", ["checkpoint_by_iter", "best", "logger2"])
def test_further_hooks_beside_the_default_ones_may_have_other_names(name) -> None:
    built = with_default_hooks({name: {"type": "CheckpointHook", "interval": 7}})
    assert [hook["interval"] for hook in built if hook["type"] == "CheckpointHook"] == [1, 7]


def test_schedules_without_effect_are_named(make_runner, caplog) -> None:
    schedules = [
        dict(type="MultiStepLR", milestones=[8, 11]),
        dict(type="StepLR", step_size=9),
        dict(type="ExponentialLR", gamma=0.9, begin=20, end=30),
        dict(type="ExponentialLR", gamma=0.9),
    ]
    runner = make_runner(param_scheduler=schedules)
    runner.train()
    lines = list(idle_schedules(runner.param_schedulers, runner.max_epochs, runner.max_iters))
    assert [re.match(r"param_scheduler\[(\d)\]: (\w+)", line).groups() for line in lines] == [
        ("0", "MultiStepLR"), ("1", "StepLR"), ("2", "ExponentialLR"),
    ]  # fmt: skip
    assert "[8, 11]" in lines[0]
    assert "step_size 9" in lines[1]
    assert "begins at epoch 20" in lines[2]


class Endless(IterableDataset):
    def __iter__(self):
        return iter(torch.ones(40, 1))


@pytest.mark.parametrize(
    ("loader", "text"),
    [
        (DataLoader(torch.ones(20, 1), batch_size=8), "20 samples in 3 batches of 8, in order"),
        (DataLoader(torch.ones(1437, 1), batch_size=1, shuffle=True), "1,437 samples in 1,437 batches of 1, shuffled"),
        (DataLoader(Endless(), batch_size=8), "a stream in batches of 8"),
        (DataLoader(Endless(), batch_size=None), "a stream"),
        ([torch.ones(2, 1)] * 3, "3 batches"),
    ],
    ids=["in_order", "shuffled", "stream", "stream_of_batches", "list"],
)
def test_facts_of_data_say_how_much_is_read_and_in_which_order(loader, text) -> None:
    assert data_facts(loader) == text
