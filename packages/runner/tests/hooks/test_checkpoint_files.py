"""What CheckpointHook removes: checkpoints of its own run, whatever a checkpoint file says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from eng.checkpoint import find_latest_checkpoint, save_checkpoint
from eng.hooks._checkpoint_files import RunFiles


def hooks(**options) -> dict:
    return dict(checkpoint=dict(type="CheckpointHook", **options))


def names_in(folder) -> set[str]:
    return {path.name for path in Path(folder).glob("*.pth")}


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files but logs: the loggers of this process write those of every run that it had."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remembered", "name"),
    [
        ("epoch_3.pth", "epoch_3.pth"),
        ("/elsewhere/epoch_3.pth", "epoch_3.pth"),
        ("s3://bucket/run/best_coco/bbox_mAP_epoch_3.pth", None),
        ("s3://bucket/run/best_acc_epoch_3.pth", "best_acc_epoch_3.pth"),
        ("C:\\\\run\\\\epoch_3.pth", "epoch_3.pth"),
        ("interrupted_iter_7.pth", "interrupted_iter_7.pth"),
        ("rollback_iter_0.pth", "rollback_iter_0.pth"),
        ("/home/user", None), ("/home/user/", None), ("..", None), ("", None), (None, None), (7, None), (["a"], None),
        ("epoch_3.pth/..", None), ("epoch_x.pth", None), ("epoch_3.pth.bak", None), ("config.py", None),
        ("best_/../../x_epoch_3.pth", None), ("epoch_3.pth\n", None),
    ],
)  # fmt: skip
def test_only_names_of_the_template_are_taken_out_of_paths(tmp_path, remembered, name):
    assert RunFiles(str(tmp_path), "epoch_{}.pth", None).name_of(remembered) == name


@pytest.mark.parametrize(
    ("template", "number"), [("at-{}.pth", 3), ("{:06d}.pth", 3), ("{0}-a+b.pth", -1), ("sub/epoch_{}.pth", 2)]
)
def test_names_follow_any_template(tmp_path, template, number):
    files = RunFiles(str(tmp_path), template, None)
    assert files.name_of(f"/old/{files.regular(number)}") == files.regular(number)
    assert files.name_of(f"/old/{template}") is None


def test_links_and_folders_of_others_stay(tmp_path, caplog):
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter").write_text("dear")
    folder = tmp_path / "run"
    (folder / "epoch_2.pth").mkdir(parents=True)
    (folder / "epoch_2.pth" / "letter").write_text("dear")
    (folder / "epoch_3.pth").symlink_to(home)
    (folder / "epoch_4.pth").symlink_to(home / "letter")
    RunFiles(str(folder), "epoch_{}.pth", None).remove(["epoch_2.pth", "epoch_3.pth", "epoch_4.pth", "../home", "home"])
    assert (home / "letter").read_text() == "dear"
    assert (folder / "epoch_2.pth" / "letter").read_text() == "dear"
    assert not (folder / "epoch_4.pth").exists()
    assert "epoch_2.pth stays: the folder holds what is no part of a checkpoint" in caplog.text


def test_a_folder_of_shards_is_removed(tmp_path):
    shards = tmp_path / "epoch_2.pth"
    shards.mkdir()
    for name in (".metadata", "common.pth", "__0_0.distcp", "__1_0.distcp"):
        (shards / name).write_bytes(b"")
    RunFiles(str(tmp_path), "epoch_{}.pth", None).remove(["epoch_2.pth"])
    assert not shards.exists()


# --- hostile files ----------------------------------------------------------------------------------------------------

KEYS = ["interrupted_ckpt", "best_ckpt", "best_ckpt_acc", "last_ckpt", "stale_ckpts", "keep_ckpt_ids", "best_to_save"]


@pytest.mark.parametrize("version", ["earlier", "now"])
@pytest.mark.parametrize("form", ["{}", "../{}", "{}/"])
def test_a_checkpoint_cannot_have_anything_else_removed(make_runner, parts, tmp_path, form, version):
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in ("thesis.txt", "epoch_1.pth", "best_acc_epoch_1.pth"):
        (victim / name).write_text("precious")
    before = snapshot(victim)
    work = tmp_path / "work"
    options = dict(save_best="acc", max_keep_ckpts=1, published_keys=["state_dict"])
    make_runner(work_dir=str(work), default_hooks=hooks(**options), **parts.validation(acc=[1, 2])).train()
    path = work / "epoch_2.pth"
    checkpoint = torch.load(path)
    for target in (victim, victim / "thesis.txt", victim / "epoch_1.pth", victim / "best_acc_epoch_1.pth"):
        text = form.format(os.path.relpath(target, work) if form.startswith("..") else target)
        facts = dict.fromkeys(KEYS, text)
        facts |= {"stale_ckpts": [text], "keep_ckpt_ids": [text, "../x", 1.5, None], "best_to_save": {text: text}}
        checkpoint["message_hub"]["runtime_info"].update(facts)
        checkpoint["run_state"]["hooks"].pop("CheckpointHook.0", None)
        if version == "now":
            checkpoint["run_state"]["hooks"]["CheckpointHook.0"] = {
                "retention": {"kept": [text, "../x", 1.5, None], "stale": [text], "last": text, "interrupted": text},
                "best": {"scores": {"acc": 0.0, text: 1.0}, "paths": {"acc": text, text: text}, "waiting": {text: 1.0}},
            }
        save_checkpoint(checkpoint, path)
        runner = make_runner(
            work_dir=str(work), default_hooks=hooks(**options), resume=str(path), train_cfg=dict(max_epochs=4),
            **parts.validation(acc=[5, 6]),
        )  # fmt: skip
        runner.train()
        assert snapshot(victim) == before


def test_a_checkpoint_cannot_have_the_kept_ones_removed(make_runner, parts, tmp_path):
    work = tmp_path / "work"
    make_runner(work_dir=str(work), default_hooks=hooks(max_keep_ckpts=3)).train()
    path = work / "epoch_2.pth"
    checkpoint = torch.load(path)
    checkpoint["run_state"]["hooks"]["CheckpointHook.0"]["retention"]["stale"] = [f"epoch_{n}.pth" for n in (1, 2, 3)]
    save_checkpoint(checkpoint, path)
    make_runner(
        work_dir=str(work), default_hooks=hooks(max_keep_ckpts=3), resume=True, train_cfg=dict(max_epochs=3)
    ).train()
    assert names_in(work) == {"epoch_1.pth", "epoch_2.pth", "epoch_3.pth"}


# --- innocent runs ----------------------------------------------------------------------------------------------------

BEST = dict(save_best="acc", max_keep_ckpts=1)


@pytest.fixture
def origin(make_runner, parts, tmp_path) -> Path:
    """Two epochs, of which the second is the best."""
    folder = tmp_path / "a"
    make_runner(work_dir=str(folder), default_hooks=hooks(**BEST), **parts.validation(acc=[1, 2])).train()
    assert names_in(folder) == {"epoch_2.pth", "best_acc_epoch_2.pth"}
    return folder


def go_on(make_runner, parts, folder, **changes):
    options = {**BEST, **changes.pop("hook", {})}
    runner = make_runner(
        work_dir=str(folder), default_hooks=hooks(**options), resume=True, train_cfg=dict(max_epochs=3),
        **parts.validation(acc=[7]), **changes,
    )  # fmt: skip
    runner.train()
    return runner


def test_a_forked_run_leaves_its_origin_alone(make_runner, parts, origin, tmp_path):
    before = snapshot(origin)
    go_on(make_runner, parts, tmp_path / "b", load_from=str(origin / "epoch_2.pth"), hook={"published_keys": ["meta"]})
    assert snapshot(origin) == before
    assert {n for n in names_in(tmp_path / "b") if "-" not in n} == {"epoch_3.pth", "best_acc_epoch_3.pth"}


def test_a_forked_run_publishes_the_best_of_its_origin_into_its_own_folder(make_runner, parts, origin, tmp_path):
    before = snapshot(origin)
    runner = make_runner(
        work_dir=str(tmp_path / "b"), default_hooks=hooks(**BEST, published_keys=["state_dict"]), resume=True,
        load_from=str(origin / "epoch_2.pth"), train_cfg=dict(max_epochs=3), **parts.validation(acc=[0]),
    )  # fmt: skip
    runner.train()
    assert snapshot(origin) == before
    assert {n.split("-")[0] for n in names_in(tmp_path / "b") if "-" in n} == {"epoch_3", "best_acc_epoch_2"}


@pytest.mark.parametrize("continued", ["a", "b"])
def test_a_copied_run_leaves_the_other_alone(make_runner, parts, origin, tmp_path, continued):
    shutil.copytree(origin, tmp_path / "b")
    other = tmp_path / ("b" if continued == "a" else "a")
    before = snapshot(other)
    go_on(make_runner, parts, tmp_path / continued)
    assert snapshot(other) == before
    assert names_in(tmp_path / continued) == {"epoch_3.pth", "best_acc_epoch_3.pth"}


def test_a_moved_run_goes_on_and_publishes(make_runner, parts, origin, tmp_path):
    origin.rename(tmp_path / "moved")
    runner = make_runner(
        work_dir=str(tmp_path / "moved"), default_hooks=hooks(**BEST, published_keys=["state_dict"]), resume=True,
        train_cfg=dict(max_epochs=3), **parts.validation(acc=[0]),
    )  # fmt: skip
    runner.train()
    published = {n.split("-")[0] for n in names_in(tmp_path / "moved") if "-" in n}
    assert published == {"epoch_3", "best_acc_epoch_2"}
    assert runner.message_hub.get_info("best_ckpt") == str(tmp_path / "moved" / "best_acc_epoch_2.pth")
    assert not origin.exists()


def test_what_a_kill_left_behind_is_cleared_by_the_next_save(make_runner, parts, tmp_path, monkeypatch):
    """A kill between "the new file is intact" and "the old one is removed": nothing is removed any more."""
    folder = tmp_path / "work"
    monkeypatch.setattr(RunFiles, "remove", lambda self, names: [])
    make_runner(work_dir=str(folder), default_hooks=hooks(**BEST), **parts.validation(acc=[1, 2])).train()
    assert {"epoch_1.pth", "epoch_2.pth", "best_acc_epoch_1.pth", "best_acc_epoch_2.pth"} == names_in(folder)
    monkeypatch.undo()
    go_on(make_runner, parts, folder)
    assert names_in(folder) == {"epoch_3.pth", "best_acc_epoch_3.pth"}


def test_files_of_the_user_beside_the_checkpoints_stay(make_runner, parts, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    for name in ("epoch_0.pth", "pretrained.pth", "best_model.pth", "epoch_1-0a1b2c3d.pth"):
        (folder / name).write_bytes(b"mine")
    make_runner(work_dir=str(folder), default_hooks=hooks(max_keep_ckpts=1)).train()
    assert names_in(folder) == {
        "epoch_0.pth", "pretrained.pth", "best_model.pth", "epoch_1-0a1b2c3d.pth", "epoch_2.pth",
    }  # fmt: skip


# --- members that libraries read --------------------------------------------------------------------------------------


def test_the_regular_checkpoint_of_a_best_epoch_names_it(make_runner, parts, origin):
    facts = torch.load(origin / "epoch_2.pth")["message_hub"]["runtime_info"]
    assert facts["best_ckpt"] == str(origin / "best_acc_epoch_2.pth")
    assert facts["best_score"] == 2
    assert find_latest_checkpoint(origin) == str(origin / "epoch_2.pth")


@pytest.mark.parametrize("unit", ["epoch", "iter"])
def test_members_have_the_names_of_the_reference(make_runner, parts, tmp_path, unit):
    from eng.fileio import LocalBackend

    by_epoch = unit == "epoch"
    train_cfg = dict(max_epochs=2) if by_epoch else dict(by_epoch=False, max_iters=8, val_interval=4)
    options = dict(
        save_best=["acc", "loss"], out_dir=str(tmp_path / "out"), by_epoch=by_epoch, interval=1 if by_epoch else 4
    )
    runner = make_runner(
        default_hooks=hooks(**options), train_cfg=train_cfg, **parts.validation(acc=[1, 2], loss=[1, 2])
    )
    runner.train()
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == "CheckpointHook")
    folder = str(tmp_path / "out" / Path(runner.work_dir).name)
    first, last = (1, 2) if by_epoch else (4, 8)
    assert hook.key_indicators == ["acc", "loss"]
    assert hook.rules == ["greater", "less"]
    assert hook.out_dir == folder
    assert hook.best_ckpt_path_dict == {
        "acc": f"{folder}/best_acc_{unit}_{last}.pth", "loss": f"{folder}/best_loss_{unit}_{first}.pth",
    }  # fmt: skip
    assert hook.best_ckpt_path == f"{folder}/best_acc_{unit}_{last}.pth"
    assert isinstance(hook.file_backend, LocalBackend)
    assert hook.file_client.exists(f"{folder}/{unit}_{last}.pth")


def test_a_library_that_overrides_the_save_of_a_step_is_asked(make_runner, parts, tmp_path):
    from eng.hooks import CheckpointHook

    class Noted(CheckpointHook):
        steps = ()

        def _save_checkpoint_with_step(self, runner, step, meta):
            self.steps += (step,)
            super()._save_checkpoint_with_step(runner, step, {**(meta or {}), "mine": step})

    hook = Noted(interval=1)
    runner = make_runner(work_dir=str(tmp_path / "w"), default_hooks=dict(checkpoint=hook))
    runner.train()
    assert hook.steps == (1, 2)
    assert torch.load(tmp_path / "w" / "epoch_2.pth")["meta"]["mine"] == 2
