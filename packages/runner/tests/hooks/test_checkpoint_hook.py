"""CheckpointHook: what is saved when, what stays, and what is published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from eng.checkpoint import find_latest_checkpoint, save_checkpoint
from eng.hooks import CheckpointHook
from eng.hooks._rules import infer_rule


def train(make_runner, parts, *, scores=None, epochs=4, by_epoch=True, **options):
    """Trains with a CheckpointHook of these options and gives runner and the names of the files."""
    options.setdefault("by_epoch", by_epoch)
    validation = parts.validation(**scores) if scores else {}
    train_cfg = dict(max_epochs=epochs) if by_epoch else dict(by_epoch=False, max_iters=epochs * 4, val_interval=4)
    hooks = dict(checkpoint=dict(type="CheckpointHook", **options))
    runner = make_runner(train_cfg=train_cfg, default_hooks=hooks, **validation)
    runner.train()
    return runner, names_in(runner.work_dir)


def names_in(folder) -> set[str]:
    return {path.name for path in Path(folder).glob("*.pth")}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(interval=1), {1, 2, 3, 4, 5}),
        (dict(interval=2), {2, 4, 5}),
        (dict(interval=2, save_last=False), {2, 4}),
        (dict(interval=2, save_begin=3), {3, 5}),
        (dict(interval=-1), {5}),
        (dict(interval=-1, save_last=False), set()),
        (dict(interval=1, max_keep_ckpts=2), {4, 5}),
        (dict(interval=2, max_keep_ckpts=1), {5}),
    ],
    ids=str,
)
@pytest.mark.parametrize("by_epoch", [True, False], ids=["epochs", "iterations"])
def test_when_to_save_and_what_to_keep(make_runner, parts, options, expected, by_epoch) -> None:
    scale = 1 if by_epoch else 4
    scaled = {k: v * scale if k in ("interval", "save_begin") and v > 0 else v for k, v in options.items()}
    _, names = train(make_runner, parts, epochs=5, by_epoch=by_epoch, **scaled)
    assert names == {f"{'epoch' if by_epoch else 'iter'}_{number * scale}.pth" for number in expected}


def test_names_follow_a_template(make_runner, parts) -> None:
    assert train(make_runner, parts, epochs=2, filename_tmpl="at-{}.pth")[1] == {"at-1.pth", "at-2.pth"}


def test_the_pointer_names_the_newest(make_runner, parts) -> None:
    runner, _ = train(make_runner, parts)
    assert (Path(runner.work_dir) / "last_checkpoint").read_text() == f"{runner.work_dir}/epoch_4.pth"
    assert find_latest_checkpoint(runner.work_dir) == f"{runner.work_dir}/epoch_4.pth"


def test_another_storage_holds_what_is_kept_and_published(make_runner, parts) -> None:
    from eng.fileio import list_dir_or_file

    options = dict(out_dir="memory://checkpoints", max_keep_ckpts=1, save_best="acc", published_keys=["state_dict"])
    runner, names = train(make_runner, parts, scores=dict(acc=[1, 3, 2]), epochs=3, **options)
    assert names == set()
    folder = f"memory://checkpoints/{Path(runner.work_dir).name}"
    assert (Path(runner.work_dir) / "last_checkpoint").read_text() == f"{folder}/epoch_3.pth"
    stems = sorted(name.removesuffix(".pth") for name in list_dir_or_file(folder))
    assert [stem.rpartition("-")[0] or stem for stem in stems] == ["best_acc_epoch_2"] * 2 + ["epoch_3"] * 2


@pytest.mark.parametrize("out_dir", ["elsewhere", "file"], ids=["path", "address"])
def test_checkpoints_may_lie_elsewhere(make_runner, parts, tmp_path, out_dir) -> None:
    target = str(tmp_path / "other") if out_dir == "elsewhere" else f"file://{tmp_path / 'other'}"
    runner, names = train(make_runner, parts, epochs=1, out_dir=target)
    assert names == set()
    assert names_in(tmp_path / "other" / Path(runner.work_dir).name) == {"epoch_1.pth"}


@pytest.mark.parametrize(
    ("scores", "options", "best"),
    [
        (dict(acc=[1, 3, 2, 3]), dict(save_best="acc"), {"best_acc_epoch_2.pth"}),
        (dict(acc=[1, 3, 2, 3]), dict(save_best="auto"), {"best_acc_epoch_2.pth"}),
        (dict(thing=[3, 1, 2, 1]), dict(save_best="thing", rule="less"), {"best_thing_epoch_2.pth"}),
        (dict(thing=[3, 1, 2, 4]), dict(save_best="thing", greater_keys=["thing"]), {"best_thing_epoch_4.pth"}),
        (
            dict(acc=[1, 2], loss=[1, 2]),
            dict(save_best=["acc", "loss"]),
            {"best_acc_epoch_2.pth", "best_loss_epoch_1.pth"},
        ),
        (dict(acc=[float("nan"), 1, float("nan")]), dict(save_best="acc"), {"best_acc_epoch_2.pth"}),
    ],
    ids=["greater", "auto", "less", "greater_keys", "several", "nan"],
)
def test_the_best_is_kept_beside_the_latest(make_runner, parts, scores, options, best) -> None:
    runner, names = train(make_runner, parts, scores=scores, interval=-1, save_last=False, **options)
    assert names == best
    info = runner.message_hub.runtime_info
    assert {Path(value).name for key, value in info.items() if key.startswith("best_ckpt")} == best


def test_a_best_checkpoint_can_be_resumed_from(make_runner, parts) -> None:
    runner, _ = train(make_runner, parts, scores=dict(acc=[1, 3, 2]), save_best="acc")
    best = str(Path(runner.work_dir) / "best_acc_epoch_2.pth")
    again = make_runner(load_from=best, resume=True, train_cfg=dict(max_epochs=3))
    again.train()
    assert (again.epoch, again.iter) == (3, 12)


def test_a_resumed_run_knows_the_best_so_far(make_runner, parts) -> None:
    train(make_runner, parts, scores=dict(acc=[3, 1]), epochs=2, save_best="acc")
    hooks = dict(checkpoint=dict(type="CheckpointHook", save_best="acc"))
    runner = make_runner(
        train_cfg=dict(max_epochs=4), default_hooks=hooks, resume=True, **parts.validation(acc=[2, 2.5])
    )
    runner.train()
    assert {n for n in names_in(runner.work_dir) if n.startswith("best")} == {"best_acc_epoch_1.pth"}


def test_a_metric_that_never_came_is_told_once_with_those_that_did(make_runner, parts, heard) -> None:
    _, names = train(make_runner, parts, scores=dict(acc=[1], f1=[1]), save_best="mAP", interval=-1, save_last=False)
    told = [line for line in heard.lines if "mAP" in line]
    assert told == [
        "CheckpointHook (save_best) watches 'mAP', which the validation did not give; it gave ['acc', 'f1']"
    ]
    assert names == set()


def test_a_published_copy_holds_its_keys_and_is_named_by_its_content(make_runner, parts) -> None:
    options = dict(published_keys=["meta", "state_dict"], save_best="acc", interval=-1)
    runner, names = train(make_runner, parts, epochs=2, scores=dict(acc=[2, 1]), **options)
    copies = sorted(name for name in names if "-" in name)
    assert [name.rsplit("-", 1)[0] for name in copies] == ["best_acc_epoch_1", "epoch_2"]
    for name in copies:
        path = Path(runner.work_dir) / name
        assert set(torch.load(path)) == {"meta", "state_dict"}
        assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(path.stem.rsplit("-", 1)[1])


def test_a_published_key_that_is_not_there_is_told(make_runner, parts, heard) -> None:
    train(make_runner, parts, epochs=1, published_keys=["state_dict", "ema"])
    assert "holds no ema to publish" in heard.text


def test_a_run_that_is_done_does_not_fail_for_what_cannot_be_published(make_runner, parts, heard) -> None:
    _, names = train(make_runner, parts, epochs=1, published_keys="ema")
    assert names == {"epoch_1.pth"}
    assert "epoch_1.pth has none of ema; it has meta, " in heard.text


def test_what_resuming_needs_may_be_left_out(make_runner, parts) -> None:
    runner, _ = train(make_runner, parts, epochs=1, save_optimizer=False, save_param_scheduler=False)
    assert not {"optimizer", "param_schedulers"} & set(torch.load(Path(runner.work_dir) / "epoch_1.pth"))


def test_writing_beside_training_gives_the_same_files(make_runner, parts, tmp_path) -> None:
    both = []
    for name, beside in (("a", False), ("b", True)):
        hooks = dict(checkpoint=dict(type="CheckpointHook", async_save=beside, max_keep_ckpts=2))
        make_runner(work_dir=tmp_path / name, train_cfg=dict(max_epochs=4), default_hooks=hooks).train()
        assert names_in(tmp_path / name) == {"epoch_3.pth", "epoch_4.pth"}
        both.append(torch.load(tmp_path / name / "epoch_3.pth"))
    assert torch.equal(both[0]["state_dict"]["fit.weight"], both[1]["state_dict"]["fit.weight"])
    assert both[0]["run_state"]["position"] == both[1]["run_state"]["position"]


def test_a_failure_of_writing_beside_training_is_not_silent(make_runner, tmp_path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    hooks = dict(checkpoint=dict(type="CheckpointHook", async_save=True, out_dir=str(blocked)))
    with pytest.raises(OSError, match="blocked"):
        make_runner(default_hooks=hooks).train()


def test_the_first_save_beside_training_finds_its_memory_ready(make_runner, monkeypatch) -> None:
    from eng.checkpoint import AsyncCheckpointWriter

    prepared = []
    prepare = AsyncCheckpointWriter.prepare
    monkeypatch.setattr(AsyncCheckpointWriter, "prepare", lambda self, c: prepared.append(set(c)) or prepare(self, c))
    make_runner(default_hooks=dict(checkpoint=dict(type="CheckpointHook", async_save=True))).train()
    assert len(prepared) == 1
    assert {"state_dict", "optimizer"} <= prepared[0]


def test_a_process_without_shards_is_refused_before_the_first_step(make_runner) -> None:
    runner = make_runner(default_hooks=dict(checkpoint=dict(type="CheckpointHook", async_save="process")))
    with pytest.raises(ValueError, match="async_save='process'.* needs a sharded checkpoint"):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(save_begin=-1), "save_begin must not be negative, got -1"),
        (dict(file_client_args={}, backend_args={}), "give backend_args only"),
        (dict(save_best=["acc", "acc"]), "names a metric twice"),
        (dict(save_best=["auto", "acc"]), "'auto' stands alone"),
        (dict(save_best=["a", "b", "c"], rule=["less", "less"]), "3 metrics in save_best and 2 rules"),
        (dict(save_best="acc", rule="more"), "rule must be 'greater' or 'less', got 'more'"),
        (dict(save_best="thing"), "cannot tell whether more or less of 'thing' is better"),
        (dict(save_best=3), "expected a name, a list of names or None, got int"),
    ],
    ids=["begin", "both args", "twice", "auto", "rules", "rule", "unknown", "type"],
)
def test_options_that_make_no_sense(options, message) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        CheckpointHook(**options)


@pytest.mark.parametrize(
    ("metric", "rule"),
    [
        ("acc", "greater"),
        ("accuracy/top1", "greater"),
        ("coco/bbox_mAP", "greater"),
        ("val_loss", "less"),
        ("loss", "less"),
    ],
)
def test_a_rule_is_told_by_the_name(metric, rule) -> None:
    assert infer_rule(metric) == rule


# --- going on ---------------------------------------------------------------------------------------------------------

# What the CheckpointHook of eng 1.0 before it had a state left in the message hub of a run that was stopped in epoch 2,
# between the best checkpoint by "acc" and that by "f1"; printed by that version.
EARLIER_FACTS = {
    "last_ckpt": "{}/epoch_2.pth", "keep_ckpt_ids": [2], "stale_ckpts": ["interrupted_iter_7.pth"],
    "best_to_save": {"f1": 2.0}, "best_score_acc": 3.0, "best_ckpt_acc": "{}/best_acc_epoch_1.pth",
    "best_score_f1": 1.0, "best_ckpt_f1": "{}/best_f1_epoch_1.pth",
}  # fmt: skip


def test_the_state_of_earlier_checkpoints_counts(make_runner, parts, tmp_path) -> None:
    work = tmp_path / "run"
    options = dict(save_best=["acc", "f1"], max_keep_ckpts=1)
    train(make_runner, parts, epochs=2, scores=dict(acc=[3, 1], f1=[1, 0]), **options)
    assert names_in(work) == {"epoch_2.pth", "best_acc_epoch_1.pth", "best_f1_epoch_1.pth"}
    checkpoint = torch.load(work / "epoch_2.pth")
    assert set(checkpoint["run_state"]["hooks"].pop("CheckpointHook.0")) == {"retention", "best"}
    info = checkpoint["message_hub"]["runtime_info"]
    for key, value in EARLIER_FACTS.items():
        info[key] = value.format(work) if isinstance(value, str) else value
    save_checkpoint(checkpoint, work / "epoch_2.pth")
    (work / "interrupted_iter_7.pth").write_bytes(b"stale")
    hooks = dict(checkpoint=dict(type="CheckpointHook", **options))
    runner = make_runner(
        train_cfg=dict(max_epochs=3), default_hooks=hooks, resume=True, **parts.validation(acc=[2], f1=[1])
    )
    runner.train()
    assert names_in(work) == {"epoch_3.pth", "best_acc_epoch_1.pth", "best_f1_epoch_2.pth"}
    info = runner.message_hub.runtime_info
    assert (info["best_score_acc"], info["best_score_f1"], info["keep_ckpt_ids"]) == (3.0, 2.0, [3])
    assert not {"stale_ckpts", "best_to_save", "interrupted_ckpt"} & set(info)


def test_two_hooks_keep_their_own_checkpoints_when_they_go_on(make_runner, tmp_path) -> None:
    def run(epochs: int, **settings) -> None:
        hooks = dict(checkpoint=dict(type="CheckpointHook", max_keep_ckpts=1))
        few = dict(type="CheckpointHook", max_keep_ckpts=2, filename_tmpl="few_{}.pth", out_dir=str(tmp_path / "few"))
        make_runner(
            train_cfg=dict(max_epochs=epochs), default_hooks=hooks, custom_hooks=[few], **settings
        ).train()  # fmt: skip

    run(2)
    run(4, resume=True)
    assert names_in(tmp_path / "run") == {"epoch_4.pth"}
    assert names_in(tmp_path / "few" / "run") == {"few_3.pth", "few_4.pth"}


@pytest.mark.parametrize("unit", ["epochs", "iterations"])
def test_a_finished_run_that_is_extended_repeats_no_validation(unit, make_runner, parts) -> None:
    def run(length: int, **more):
        cfg = (
            dict(max_epochs=length) if unit == "epochs" else dict(by_epoch=False, max_iters=4 * length, val_interval=4)
        )
        runner = make_runner(train_cfg=cfg, **parts.validation(acc=[0.3, 0.1, 0.2]), **more)
        runner.train()
        return runner

    run(2)
    again = run(3, resume=True)
    assert again.val_evaluator.metrics[0].validations == 1
    assert again.message_hub.get_scalar("val/acc").data[0].tolist() == [0.3, 0.1, 0.3]
    assert again.iter == 12
