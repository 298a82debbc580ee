from __future__ import annotations

import pytest

from eng.hooks._checkpoint_retention import Retention, retention_of_message_hub


@pytest.mark.parametrize(
    ("limit", "kept", "stale"),
    [(-1, [], []), (0, [], []), (1, [4], [1, 2, 3]), (2, [3, 4], [1, 2]), (9, [1, 2, 3, 4], [])],
)
def test_older_checkpoints_expire(files, limit, kept, stale) -> None:
    retention = Retention(limit)
    for number in (1, 2, 3, 4):
        assert retention.add_regular(number, files, set()) == f"epoch_{number}.pth"
    assert retention.kept == kept
    assert retention.stale == [f"epoch_{number}.pth" for number in stale]


def test_a_checkpoint_that_is_written_again_counts_once(files) -> None:
    retention = Retention(2)
    for number in (1, 2, 2):
        retention.add_regular(number, files, set())
    assert (retention.kept, retention.stale) == ([1, 2], [])


def test_the_best_checkpoints_never_expire(files) -> None:
    retention = Retention(1)
    retention.add_best("best_acc_epoch_1.pth", files, {"best_f1_epoch_1.pth", "best_acc_epoch_2.pth"})
    retention.add_best("best_f1_epoch_1.pth", files, {"best_f1_epoch_1.pth", "best_acc_epoch_2.pth"})
    assert retention.stale == ["best_acc_epoch_1.pth"]


def test_the_next_regular_checkpoint_replaces_that_of_a_stop(files) -> None:
    retention = Retention(-1)
    retention.add_interrupted("interrupted_iter_3.pth", files, set())
    assert retention.stale == []
    retention.add_interrupted("interrupted_iter_5.pth", files, set())
    assert retention.stale == ["interrupted_iter_3.pth"]
    retention.add_regular(2, files, set())
    assert retention.stale == ["interrupted_iter_3.pth", "interrupted_iter_5.pth"]
    assert retention.interrupted is None


def test_an_intact_checkpoint_is_pointed_to_before_others_are_removed(files, tmp_path) -> None:
    (tmp_path / "epoch_1.pth").touch()
    retention = Retention(1)
    retention.add_regular(1, files, set())
    retention.add_regular(2, files, set())
    retention.replace(["epoch_1.pth"], files, files.path("epoch_2.pth"), str(tmp_path))
    assert retention.newest_intact == str(tmp_path / "epoch_2.pth")
    assert (tmp_path / "last_checkpoint").read_text() == str(tmp_path / "epoch_2.pth")
    assert not (tmp_path / "epoch_1.pth").exists()
    assert retention.stale == []


def test_a_state_comes_back(files) -> None:
    first = Retention(2)
    for number in (1, 2, 3):
        first.add_regular(number, files, set())
    first.add_interrupted("interrupted_iter_13.pth", files, set())
    second = Retention(2)
    second.load_state_dict(first.state_dict(), files)
    assert second.state_dict() == first.state_dict() == {
        "kept": [2, 3], "stale": ["epoch_1.pth"], "last": "epoch_3.pth", "interrupted": "interrupted_iter_13.pth",
    }  # fmt: skip


@pytest.mark.parametrize("junk", ["/etc/passwd", 7, None, ["../x", 3.5, True], {"a": 1}], ids=str)
def test_only_names_of_this_run_are_taken_from_a_state(files, junk) -> None:
    retention = Retention(1)
    retention.load_state_dict(dict.fromkeys(["kept", "stale", "last", "interrupted"], junk), files)
    assert retention.state_dict() == {"kept": [], "stale": [], "last": None, "interrupted": None}


def test_a_message_hub_tells_what_earlier_versions_kept(files) -> None:
    info = {"keep_ckpt_ids": [2, 3], "last_ckpt": "/elsewhere/epoch_3.pth", "epoch": 3}
    retention = Retention(2)
    retention.load_state_dict(retention_of_message_hub(info), files)
    assert (retention.kept, retention.last_name, retention.stale) == ([2, 3], "epoch_3.pth", [])
