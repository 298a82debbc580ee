from __future__ import annotations

import os

import pytest
import torch
from checkpoint_parts import save

from eng.checkpoint import find_latest_checkpoint, save_checkpoint, write_pointer

NO_COUNT = {"run_id": None, "save_number": None, "time_ns": None}


def test_an_empty_or_missing_folder_has_none(tmp_path):
    assert find_latest_checkpoint(tmp_path) is None
    assert find_latest_checkpoint(str(tmp_path / "nothing")) is None


def test_the_named_one(tmp_path):
    save(tmp_path, "epoch_1.pth", 1, "20260101_000001")
    newest = save(tmp_path, "epoch_2.pth", 2, "20260101_000002")
    write_pointer(tmp_path, newest)
    assert find_latest_checkpoint(tmp_path) == newest


def test_one_that_was_written_but_not_yet_named_is_newer(tmp_path):
    write_pointer(tmp_path, save(tmp_path, "epoch_1.pth", 1))
    newest = save(tmp_path, "epoch_2.pth", 2)
    assert find_latest_checkpoint(tmp_path) == newest


def test_without_a_pointer_the_folder_is_looked_through(tmp_path):
    save(tmp_path, "epoch_9.pth", 9)
    newest = save(tmp_path, "epoch_10.pth", 10)
    os.utime(newest, (1, 1))  # times of change are lost in copies
    assert find_latest_checkpoint(tmp_path) == newest


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[: len(data) // 2], "central directory|end is missing"),
        (lambda data: b"", "empty|EOF"),
        (lambda data: data[:900] + b"\xff\xff" + data[902:], "checksum|corrupted|header"),
        (lambda data: b"no checkpoint at all", "torch.save did not write it|operand|EOF"),
    ],
    ids=["cut", "empty", "bits", "text"],
)
def test_broken_ones_are_skipped_and_named_with_the_reason(tmp_path, warnings, damage, reason):
    good = save(tmp_path, "epoch_1.pth", 1)
    bad = save(tmp_path, "epoch_2.pth", 2)
    write_pointer(tmp_path, bad)
    path = tmp_path / "epoch_2.pth"
    path.write_bytes(damage(path.read_bytes()))
    assert find_latest_checkpoint(tmp_path) == good
    assert f"{bad} is skipped" in warnings.text
    import re

    assert re.search(reason, warnings.text)


def test_all_broken_gives_none(tmp_path, warnings):
    for number in range(12):
        (tmp_path / f"epoch_{number}.pth").write_bytes(b"PK\x03\x04")
    assert find_latest_checkpoint(tmp_path) is None
    assert warnings.text.count("is skipped") == 12


def test_files_of_an_older_run_do_not_count_as_newest(tmp_path):
    save(tmp_path, "epoch_100.pth", 100, "20270101_000000", meta={"run_id": "older"})
    newest = save(tmp_path, "epoch_3.pth", 3, "20260101_000000")
    write_pointer(tmp_path, newest)
    assert find_latest_checkpoint(tmp_path) == newest


@pytest.mark.parametrize("clock", ["20250101_000000", "20270101_000000"], ids=["set-back", "ahead"])
def test_the_save_number_and_not_the_clock_tells_the_newest(tmp_path, clock):
    old = save(tmp_path, "epoch_1.pth", 1, "20260101_000000")
    newest = save(tmp_path, "epoch_2.pth", 2, clock)
    os.utime(newest, (1, 1))
    write_pointer(tmp_path, newest)
    assert find_latest_checkpoint(tmp_path) == newest
    write_pointer(tmp_path, old)
    assert find_latest_checkpoint(tmp_path) == newest
    (tmp_path / "last_checkpoint").unlink()
    assert find_latest_checkpoint(tmp_path) == newest


def test_a_run_that_went_back_goes_on_from_its_last_save(tmp_path):
    """As `nan_policy="rollback"` does: fewer iterations, a higher number."""
    write_pointer(tmp_path, save(tmp_path, "iter_9.pth", 9, meta={"save_number": 3}))
    newest = save(tmp_path, "iter_6.pth", 6, meta={"save_number": 4})
    assert find_latest_checkpoint(tmp_path) == newest


def test_the_best_of_the_same_iteration_does_not_displace_the_named_one(tmp_path):
    regular = save(tmp_path, "epoch_2.pth", 8, meta={"save_number": 2})
    save(tmp_path, "best_acc_epoch_2.pth", 8, meta={"save_number": 3})
    write_pointer(tmp_path, regular)
    assert find_latest_checkpoint(tmp_path) == regular


def test_files_without_a_number_go_by_pointer_then_iteration_then_change(tmp_path):
    old = save(tmp_path, "epoch_1.pth", 4, "20260101_000009", meta=NO_COUNT)
    new = save(tmp_path, "epoch_2.pth", 8, "20260101_000001", meta=NO_COUNT)
    twin = save(tmp_path, "best_epoch_2.pth", 8, "20260101_000001", meta=NO_COUNT)
    os.utime(new, (2, 2))
    os.utime(twin, (1, 1))
    write_pointer(tmp_path, old)
    assert find_latest_checkpoint(tmp_path) == old
    (tmp_path / "last_checkpoint").unlink()
    assert find_latest_checkpoint(tmp_path) == new


ODD_META = {
    "none": {"iter": None}, "text": {"iter": "many"}, "list": {"iter": [1]}, "nan": {"iter": float("nan")},
    "number-text": {"save_number": "9"}, "run-number": {"run_id": 5}, "time-text": {"time_ns": "x"},
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_META)
@pytest.mark.parametrize("named", [True, False])
def test_odd_facts_in_a_file_are_no_reason_to_fail(tmp_path, name, named):
    good = save(tmp_path, "epoch_5.pth", 5)
    odd = save(tmp_path, "odd.pth", 1, meta=ODD_META[name])
    if name in ("none", "text", "list", "nan"):
        torch.save({"meta": ODD_META[name], "state_dict": {}}, odd)
    write_pointer(tmp_path, odd if named else good)
    assert find_latest_checkpoint(tmp_path) in ({good, odd} if named else {good})


def test_links_in_a_circle_are_skipped(tmp_path):
    good = save(tmp_path, "epoch_1.pth", 1)
    (tmp_path / "a.pth").symlink_to(tmp_path / "b.pth")
    (tmp_path / "b.pth").symlink_to(tmp_path / "a.pth")
    assert find_latest_checkpoint(tmp_path) == good
    write_pointer(tmp_path, tmp_path / "a.pth")
    assert find_latest_checkpoint(tmp_path) == good
    (tmp_path / "last_checkpoint").unlink()
    (tmp_path / "last_checkpoint").symlink_to(tmp_path / "last_checkpoint")
    assert find_latest_checkpoint(tmp_path) == good


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"x" * 300, b"/" + b"y" * 5000, b"a\x00b", b"x" * 10**7, b"\x1b[2J", b"/dev/null"],
    ids=["not-utf-8", "long-name", "long-path", "zero", "megabytes", "escape", "device"],
)  # fmt: skip
def test_a_pointer_that_is_none_is_skipped(tmp_path, warnings, content):
    good = save(tmp_path, "epoch_1.pth", 1)
    (tmp_path / "last_checkpoint").write_bytes(content)
    assert find_latest_checkpoint(tmp_path) == good
    assert "is skipped" in warnings.text
    assert "\x1b" not in warnings.text


@pytest.mark.parametrize("content", [".", "..", "/", "../.", "{folder}"])
def test_a_pointer_to_a_folder_around_the_checkpoints_is_skipped(tmp_path, monkeypatch, warnings, content):
    good = save(tmp_path, "epoch_1.pth", 1)
    (tmp_path / "last_checkpoint").write_text(content.format(folder=tmp_path))
    monkeypatch.chdir(tmp_path)
    assert find_latest_checkpoint(tmp_path) == good
    assert "holds the work_dir itself" in warnings.text


def test_a_copied_folder_goes_on_from_its_own_file(tmp_path):
    import shutil

    write_pointer(tmp_path / "a", save(tmp_path / "a", "epoch_1.pth", 1))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert find_latest_checkpoint(tmp_path / "b") == str(tmp_path / "b" / "epoch_1.pth")


def test_a_file_of_another_run_does_not_stand_for_one_in_another_folder(tmp_path):
    save(tmp_path / "work", "epoch_1.pth", 1, meta={"run_id": "earlier"})
    named = save(tmp_path / "out", "epoch_1.pth", 1)
    write_pointer(tmp_path / "work", named)
    assert find_latest_checkpoint(tmp_path / "work") == named


def test_weights_of_others_are_not_resumed_from(tmp_path):
    good = save(tmp_path, "epoch_1.pth", 1)
    torch.save({"w": torch.ones(1)}, tmp_path / "pretrained.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    assert find_latest_checkpoint(tmp_path) == good


def test_of_two_from_the_same_iteration_the_one_with_an_optimizer(tmp_path):
    full = save(tmp_path, "best_acc_iter_5.pth", 5, optimizer={})
    save(tmp_path, "iter_5-0123abcd.pth", 5)
    assert find_latest_checkpoint(tmp_path) == full


def test_a_moved_folder_keeps_its_pointer(tmp_path):
    old = tmp_path / "old"
    write_pointer(old, save(old, "epoch_1.pth", 1))
    old.rename(tmp_path / "new")
    assert find_latest_checkpoint(tmp_path / "new") == str(tmp_path / "new" / "epoch_1.pth")


def test_a_pointer_to_nothing_is_named(tmp_path, warnings):
    good = save(tmp_path, "epoch_1.pth", 1)
    write_pointer(tmp_path, tmp_path / "epoch_7.pth")
    assert find_latest_checkpoint(tmp_path) == good
    assert "epoch_7.pth is skipped" in warnings.text
    (tmp_path / "last_checkpoint").write_text("")
    assert find_latest_checkpoint(tmp_path) == good
    assert "the file is empty" in warnings.text


def test_a_pointer_to_a_folder_is_a_sharded_checkpoint(tmp_path):
    (tmp_path / "epoch_1").mkdir()
    write_pointer(tmp_path, tmp_path / "epoch_1")
    assert find_latest_checkpoint(tmp_path) == str(tmp_path / "epoch_1")


def test_more_broken_ones_than_the_first_look(tmp_path, warnings):
    good = save(tmp_path, "epoch_0.pth", 0)
    os.utime(good, (1, 1))
    for number in range(1, 12):
        (tmp_path / f"epoch_{number}.pth").write_bytes(b"cut")
    assert find_latest_checkpoint(tmp_path) == good


def test_a_remote_folder_by_its_pointer(warnings):
    pytest.importorskip("fsspec")
    from eng.fileio import put_text
    from eng.fileio.errors import UnknownBackendError

    assert find_latest_checkpoint("memory://run-without") is None
    save_checkpoint({"meta": {"iter": 1}}, "memory://run-with/epoch_1.pth")
    put_text("memory://run-with/epoch_1.pth", "memory://run-with/last_checkpoint")
    assert find_latest_checkpoint("memory://run-with") == "memory://run-with/epoch_1.pth"
    for moved in (
        "memory://where-it-was/epoch_1.pth",
        "gone://bucket/epoch_1.pth",
        "epoch_1.pth",
        "memory://old/epoch_1.pth/",
    ):
        put_text(moved, "memory://run-with/last_checkpoint")
        assert find_latest_checkpoint("memory://run-with") == "memory://run-with/epoch_1.pth"
    put_text("gone://bucket/epoch_2.pth", "memory://run-with/last_checkpoint")
    with pytest.raises(UnknownBackendError, match="gone"):
        find_latest_checkpoint("memory://run-with")
    put_text("memory://run-with/epoch_2.pth", "memory://run-with/last_checkpoint")
    assert find_latest_checkpoint("memory://run-with") is None
    assert "memory://run-with/epoch_2.pth is skipped: memory://run-with/last_checkpoint names it" in warnings.text


def test_a_remote_pointer_that_is_no_text_is_skipped(warnings):
    pytest.importorskip("fsspec")
    from eng.fileio import put

    put(b"\xff\xfe", "memory://run-odd/last_checkpoint")
    assert find_latest_checkpoint("memory://run-odd") is None
    assert "memory://run-odd/last_checkpoint is skipped" in warnings.text


def test_of_many_without_a_pointer_and_without_times_of_change(tmp_path):
    for number in range(20):
        os.utime(save(tmp_path, f"epoch_{number}.pth", number), (number % 7, number % 7))
    assert find_latest_checkpoint(tmp_path) == str(tmp_path / "epoch_19.pth")


def test_in_a_folder_that_may_only_be_read(tmp_path):
    folder = tmp_path / "work"
    good = save(folder, "epoch_1.pth", 1)
    write_pointer(folder, save(folder, "epoch_2.pth", 2))
    (folder / "epoch_2.pth").write_bytes(b"cut")
    for parent in folder.parents:  # pytest's own are closed to other users, and xdist puts one more among them
        mode = parent.stat().st_mode
        if mode & 0o005 != 0o005:
            parent.chmod(mode | 0o055)
    folder.chmod(0o555)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:  # root may write everywhere
                os.setegid(65534)
                os.seteuid(65534)
            status = 0 if find_latest_checkpoint(folder) == good else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
