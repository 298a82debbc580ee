"""Lines of scalars: reading, cutting, and what the commands make of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from curve_files import run_command, start, training, write

from eng.visualization._commands import curves, sync
from eng.visualization.curves import (
    LinesError,
    NoCurvesError,
    cut,
    find_scalars,
    load_curves,
    read_lines,
    scalars_before,
)
from eng.visualization.writers._library import numbers


def steps(lines, name: str) -> list[int]:
    return [line.step for line in lines if name in line.values]


def test_half_a_line_at_the_end_is_left_out(tmp_path, caplog) -> None:
    path = write(tmp_path / "scalars.json", training(1) + training(2), tail='{"loss": 0.3, "st')
    assert steps(read_lines(path), "loss") == [1, 2]
    assert "half a line" in caplog.text


@pytest.mark.parametrize("tail", ['half\n{"a": 1}\n', "[1]\n"], ids=["no json", "no object"])
def test_other_broken_lines_are_named(tmp_path, tail, caplog) -> None:
    path = write(tmp_path / "scalars.json", training(1), tail)
    assert len(read_lines(path)) == (2 if "a" in tail else 1)
    assert "a line is damaged and left out, the first is line 2" in caplog.text
    path.write_text(tail.partition("\n")[0] + "\n")
    with pytest.raises(LinesError, match=r"scalars\.json:1: expected a JSON object"):
        read_lines(path)


def test_lines_of_mmengine_get_their_axes(tmp_path) -> None:
    plain = [
        {k: v for k, v in line.items() if k not in ("axis", "iteration", "mode")}
        for i in range(1, 9)
        for line in training(i)
    ]
    with_positions = [line for i in range(1, 9) for line in training(i)]
    found = read_lines(write(tmp_path / "scalars.json", plain))
    assert [line.as_dict() for line in found] == with_positions


def test_a_file_that_goes_back_has_each_step_once(tmp_path) -> None:
    again = [line for i in (*range(1, 8), *range(5, 9)) for line in training(i)]
    found = read_lines(write(tmp_path / "scalars.json", again))
    assert steps(found, "loss") == list(range(1, 9))
    assert steps(found, "accuracy") == [1, 2]


@pytest.mark.parametrize(
    ("iteration", "validated", "losses", "accuracies"),
    [(6, 4, 6, 1), (8, 8, 8, 2), (8, 4, 8, 1), (4, -1, 4, 0), (0, -1, 0, 0)],
    ids=["inside an epoch", "after its validation", "before its validation", "before the first", "the beginning"],
)
def test_what_runs_again_is_cut(tmp_path, iteration, validated, losses, accuracies) -> None:
    lines = read_lines(start(tmp_path, "20260101_000000", 10))
    kept = cut(lines, iteration, validated)
    assert (steps(kept, "loss"), steps(kept, "accuracy")) == (
        list(range(1, losses + 1)),
        list(range(1, accuracies + 1)),
    )


def test_the_newest_start_with_lines_is_read(tmp_path) -> None:
    start(tmp_path, "20260101_000000", 4)
    newest = start(tmp_path, "20260102_000000", 8)
    start(tmp_path, "20260103_000000", 0)
    assert find_scalars(tmp_path) == newest
    assert find_scalars(newest) == newest


def validated_alone(work_dir: Path, stamp: str) -> Path:
    """What ``eng val`` leaves beside the starts that trained: one line, which says neither iteration nor mode."""
    return write(work_dir / stamp / "vis_data" / "scalars.json", [{"accuracy": 1.0, "step": 0, "axis": "epoch"}])


def test_a_validation_after_the_training_does_not_hide_its_curves(tmp_path) -> None:
    alone = validated_alone(tmp_path, "20260102_000000")
    assert find_scalars(tmp_path) == alone
    trained = start(tmp_path, "20260101_000000", 8)
    assert find_scalars(tmp_path) == trained
    own = tmp_path / "20260103_000000" / "vis_data" / "scalars.json"
    assert scalars_before(str(tmp_path / "epoch_1.pth"), "unknown", str(tmp_path), own) == trained


def test_a_broken_file_of_the_newest_start_is_not_passed_over(tmp_path) -> None:
    start(tmp_path, "20260101_000000", 8)
    broken = write(tmp_path / "20260102_000000" / "vis_data" / "scalars.json", [], "no JSON\n")
    assert find_scalars(tmp_path) == broken


def test_the_start_that_wrote_a_checkpoint_gives_the_lines(tmp_path) -> None:
    wrote = start(tmp_path, "20260101_000000", 4)
    other = start(tmp_path, "20260102_000000", 2)
    own = tmp_path / "20260103_000000" / "vis_data" / "scalars.json"
    checkpoint = str(tmp_path / "epoch_1.pth")
    assert scalars_before(checkpoint, "net_20260101_000000", "elsewhere", own) == wrote
    assert scalars_before(checkpoint, "unknown", str(tmp_path), own) == other
    assert scalars_before(checkpoint, "unknown", str(tmp_path / "none"), own) is None
    start(tmp_path, "20260103_000000", 1)
    assert scalars_before(checkpoint, "net_20260101_000000", str(tmp_path), own) == own


def test_curves_have_an_axis_and_times_of_validation_a_name_of_their_own(tmp_path) -> None:
    start(tmp_path, "20260101_000000", 8)
    found = load_curves(tmp_path)
    assert found.points["accuracy", "epoch"] == ([1, 2], [0.1, 0.2])
    assert found.points["time", "iter"][0] == list(range(1, 9))
    assert found.points["val/time", "epoch"][0] == [1, 2]
    assert found.names == ["loss", "time", "accuracy", "val/time"]


def test_losses_of_a_validation_are_no_points_of_the_training_curve(tmp_path) -> None:
    position = {"axis": "iter", "mode": "val", "step": 4, "iteration": 4}
    losses = {"loss": 9.0, "decode.loss_ce": 5.0, "hard/loss": 7.0, "accuracy": 0.5}
    lines = [line for iteration in range(1, 4) for line in training(iteration)] + [losses | position]
    write(tmp_path / "20260101_000000/vis_data/scalars.json", lines)
    points = load_curves(tmp_path).points
    assert points["loss", "iter"] == ([1, 2, 3], [1.0, 1 / 2, 1 / 3])
    assert points["val/loss", "iter"] == ([4], [9.0])
    assert {name for name, _ in points} >= {"val/decode.loss_ce", "hard/loss", "accuracy"}
    assert set(numbers(losses, "val")) == {"val/loss", "val/decode.loss_ce", "hard/loss", "accuracy"}
    assert numbers({"loss": 2.0}, "train") == {"loss": 2.0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no folder"),
        (lambda path: path.mkdir(), "it is not the work dir of a run"),
        (lambda path: start(path, "20260101_000000", 0), r"its starts \(20260101_000000\) wrote none"),
        (lambda path: write(path / "20260101_000000/vis_data/scalars.json", [{"name": "x", "step": 1}]), "no numbers"),
    ],
    ids=["missing", "empty", "without lines", "without numbers"],
)
def test_a_work_dir_without_logs_is_one_message(tmp_path, make, message) -> None:
    make(tmp_path / "run")
    with pytest.raises(NoCurvesError, match=message):
        load_curves(tmp_path / "run")


def test_a_table_has_a_line_for_each_curve(tmp_path) -> None:
    start(tmp_path / "net", "20260101_000000", 8)
    head, loss, *_ = run_command(curves, tmp_path / "net").output.splitlines()
    assert head.split() == ["run", "curve", "axis", "points", "first", "last", "lowest", "at", "highest", "at"]
    assert loss.split() == ["net", "loss", "iter", "8", "1", "0.125", "0.125", "8", "1", "1"]


def test_points_as_json(tmp_path) -> None:
    start(tmp_path / "net", "20260101_000000", 4)
    found = json.loads(run_command(curves, tmp_path / "net", "--keys", "accuracy", "--json").output)
    assert found == {"net": {"accuracy": {"axis": "epoch", "steps": [1], "values": [0.1]}}}


@pytest.mark.parametrize("log", [[], ["--log"]], ids=["linear", "log"])
def test_a_picture_of_two_runs(tmp_path, log) -> None:
    from PIL import Image

    for name in ("one", "two"):
        start(tmp_path / name, "20260101_000000", 8)
    target = tmp_path / "c.png"
    run_command(curves, tmp_path / "one", tmp_path / "two", "--keys", "loss,accuracy", "--out", target, *log)
    assert len(np.unique(np.asarray(Image.open(target)).reshape(-1, 4), axis=0)) > 50


def test_a_page_holds_all_points(tmp_path) -> None:
    start(tmp_path, "20260101_000000", 4)
    target = tmp_path / "page.html"
    run_command(curves, tmp_path, "--html", "--out", target)
    text = target.read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0]
    charts = {chart["name"]: chart for chart in json.loads(text)["charts"]}
    assert charts["loss"]["curves"] == [[0, [1, 2, 3, 4], [1 / i for i in range(1, 5)]]]
    assert charts["accuracy"]["axis"] == "epoch"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "tensorboad"], "is not one of"),
        (["--to", "mlflow", "--option", "uri"], "--option takes KEY=VALUE, not 'uri'"),
        ([], "Missing option '--to'"),
    ],
    ids=["tracker", "option", "no tracker"],
)
def test_sync_with_wrong_words(tmp_path, words, message) -> None:
    start(tmp_path, "20260101_000000", 4)
    done = run_command(sync, tmp_path, *words)
    assert done.exit_code == 2
    assert message in done.output


def test_sync_of_a_folder_without_logs(tmp_path) -> None:
    with pytest.raises(NoCurvesError, match="holds no curves"):
        run_command(sync, tmp_path, "--to", "tensorboard")


def test_the_newest_start_is_told_by_no_local_clock(tmp_path) -> None:
    """A start in Shanghai, then one in Europe: the second one's name is hours before the first one's."""
    first = start(tmp_path, "20260101_090000", 4)
    second = start(tmp_path, "20260101_020000", 8)
    (first.parent / ".began_ns").write_text("1767229200000000000")
    (second.parent / ".began_ns").write_text("1767232800000000000")
    assert find_scalars(tmp_path) == second


def test_a_local_backend_notes_when_its_start_began(tmp_path) -> None:
    import time

    from eng.visualization import LocalVisBackend

    before_ns = time.time_ns()
    LocalVisBackend(str(tmp_path)).add_scalar("loss", 1.0)
    LocalVisBackend(str(tmp_path)).add_scalar("loss", 2.0)
    assert before_ns <= int((tmp_path / ".began_ns").read_text()) <= time.time_ns()
