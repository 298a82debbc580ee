"""The order of curves, and the names of runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from curve_files import run_command, start

from eng.visualization._commands import curves
from eng.visualization.curves import in_order, is_timing, load_runs, page_data, run_folders, short_names
from eng.visualization.curves.starts import Curves


def test_losses_and_metrics_come_first_and_timings_last() -> None:
    written = ["lr", "data_time", "grad_norm", "loss_ce", "loss", "time", "coco/bbox_mAP", "val/time", "bias_lr", "mfu"]
    assert in_order(written) == [
        "loss", "loss_ce", "coco/bbox_mAP", "lr", "grad_norm", "bias_lr", "data_time", "time", "val/time", "mfu",
    ]  # fmt: skip
    assert [name for name in written if is_timing(name)] == ["data_time", "time", "val/time", "mfu"]


def test_the_table_of_a_run_begins_with_its_loss(tmp_path) -> None:
    start(tmp_path / "net", "20260101_000000", 8)
    lines = run_command(curves, tmp_path / "net").output.splitlines()[1:]
    assert [line.split()[1] for line in lines] == ["loss", "accuracy", "time", "val/time"]


def passport(root: Path, **config: object) -> None:
    folder = start(root, "20260101_000000", 2).parent.parent
    facts = {"config": {key.replace("__", "."): repr(value) for key, value in config.items()}}
    (folder / "passport.json").write_text(json.dumps(facts))


def test_runs_are_named_by_their_folders_and_by_what_differs(tmp_path) -> None:
    passport(tmp_path / "a", work_dir="a", optim_wrapper__optimizer__lr=0.1, model__width=8, data__batch_size=4)
    passport(tmp_path / "b", work_dir="b", optim_wrapper__optimizer__lr=0.2, model__width=8, data__batch_size=4)
    start(tmp_path / "c", "20260101_000000", 2)  # of MMEngine: it has no passport
    assert [run.title for run in load_runs([tmp_path])] == ["a (lr=0.1)", "b (lr=0.2)", "c"]
    assert [run.title for run in load_runs([tmp_path / "a"])] == ["a"]


def test_settings_of_one_name_are_told_apart(tmp_path) -> None:
    passport(tmp_path / "a", generator__lr=0.1, critic__lr=0.3)
    passport(tmp_path / "b", generator__lr=0.2, critic__lr=0.4)
    titles = [run.title for run in load_runs([tmp_path])]
    assert titles == ["a (generator.lr=0.1, critic.lr=0.3)", "b (generator.lr=0.2, critic.lr=0.4)"]


def test_long_differences_are_cut(tmp_path) -> None:
    passport(tmp_path / "a", one=1, two="x" * 99, three=3, four=4)
    passport(tmp_path / "b", one=2, two="y" * 99, three=4, four=5)
    (first, _) = load_runs([tmp_path])
    assert first.title == f"a (one=1, two='{'x' * 22}…, three=3, …)"


def test_a_broken_passport_is_no_reason_to_show_nothing(tmp_path) -> None:
    for name, text in (("a", "[]"), ("b", "{half")):
        (start(tmp_path / name, "20260101_000000", 2).parent.parent / "passport.json").write_text(text)
    assert [run.title for run in load_runs([tmp_path])] == ["a", "b"]


def test_a_folder_of_runs_stands_for_them(tmp_path) -> None:
    for name in ("one", "deep/two"):
        start(tmp_path / name, "20260101_000000", 2)
        start(tmp_path / name, "20260102_000000", 2)
    assert run_folders(tmp_path) == [tmp_path / "deep/two", tmp_path / "one"]
    begun = tmp_path / "one" / "20260102_000000"
    assert run_folders(begun) == [begun]
    assert run_folders(tmp_path / "none") == [tmp_path / "none"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [(["/a/x/run", "/a/y/run", "/b/x/run"], ["a/x/run", "a/y/run", "b/x/run"]), (["/r"], ["r"]), ([], [])],
)
def test_names_are_as_long_as_it_takes(paths, names) -> None:
    assert short_names([Path(path) for path in paths]) == names


def test_thinned_curves_keep_their_ends_and_extremes() -> None:
    values = [float(number % 100) for number in range(100_000)]
    values[4321], values[77_777] = -5.0, 500.0
    run = Curves("run", Path("run"), {("loss", "iter"): (list(range(100_000)), values)})
    ((_, steps, kept),) = page_data([run], ["loss"], most_points=1000)["charts"][0]["curves"]
    assert len(steps) <= 1001
    assert (steps[0] <= 200, steps[-1]) == (True, 99_999)
    assert {(4321, -5.0), (77_777, 500.0)} <= set(zip(steps, kept, strict=True))
    assert steps == sorted(steps)
