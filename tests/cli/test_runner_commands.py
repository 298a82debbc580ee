"""The commands of eng-runner through the `eng` program, on the project that `eng init` makes.

What must end a process of its own (Ctrl-C, exit status, work of a fresh interpreter) runs in one; mistakes in calls and
configs run in this process, through the program's own `main`, which raises what it would show as a traceback.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from eng.cli import main
from eng.registry import DefaultScope

ENG = [sys.executable, "-m", "eng.cli"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
PROJECT = "shapes_of_the_cli_test"

TTA_PARTS = '''
from eng.model import BaseTTAModel
from eng.registry import MODELS, TRANSFORMS
from eng.structures import LabelData


@TRANSFORMS.register_module()
class BothWays:
    """The picture and its mirror image."""

    def __call__(self, packed):
        inputs, sample = packed["inputs"], packed["data_samples"]
        return {"inputs": [inputs, inputs.flip(-1)], "data_samples": [sample, sample.clone()]}


@MODELS.register_module()
class MeanOfScores(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        merged = []
        for views in data_samples_list:
            sample = views[0]
            score = sum(view.pred_label.score for view in views) / len(views)
            sample.pred_label = LabelData(label=score.argmax(dim=0, keepdim=True), score=score)
            sample.set_metainfo({"num_views": len(views)})
            merged.append(sample)
        return merged
'''
TTA_CONFIG = """
_base_ = "config.py"
custom_imports = dict(imports=["tta_parts_of_the_cli_test"], allow_failed_imports=False)
tta_model = dict(type="MeanOfScores")
tta_pipeline = [dict(type="PackImage"), dict(type="BothWays")]
"""


def eng(*words: object, cwd: Path, timeout: int = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ENG, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=ENVIRONMENT,
        timeout=timeout,
        check=False,
    )


TWO_SETS = """
_base_ = "tta.py"
test_dataloader = dict(_delete_=True, clean={{_base_.test_dataloader}}, same={{_base_.test_dataloader}})
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was made by `eng init` and trained for two epochs."""
    folder = tmp_path_factory.mktemp("project") / "new"
    assert main(["init", str(folder), "--name", PROJECT]) == 0
    trained = eng("train", "config.py", "--cfg-options", "num_epochs=2", "train_cfg.max_epochs=2", cwd=folder)
    assert trained.returncode == 0, trained.stderr[-3000:]
    (folder / "trained.txt").write_text(trained.stdout)
    (folder / "tta_parts_of_the_cli_test.py").write_text(TTA_PARTS)
    (folder / "tta.py").write_text(TTA_CONFIG.replace('"tta_parts', f'"{PROJECT}", "tta_parts'))
    (folder / "two_sets.py").write_text(TWO_SETS)
    return folder


@pytest.fixture(autouse=True)
def no_scope_left() -> None:
    with DefaultScope.overwrite_default_scope("eng"):
        yield


def newest(project: Path) -> Path:
    return project / "work_dirs" / PROJECT / "epoch_2.pth"


# --- what works ----------------------------------------------------------------------------------------------------


def test_train_ends_with_where_everything_is(project: Path) -> None:
    said = (project / "trained.txt").read_text()
    assert "Done: 2 epochs, 60 iterations." in said
    for line in ("Best checkpoint: ", "Last checkpoint: ", "Log: ", "Curves: "):
        path = Path(said.split(line, 1)[1].split(" (")[0].splitlines()[0])
        assert path.exists(), line


def test_val_and_test_agree_on_the_same_data(project: Path) -> None:
    validated = eng("val", "config.py", "--checkpoint", newest(project), cwd=project)
    assert validated.returncode == 0, validated.stderr[-3000:]
    tested = eng("test", "config.py", "--checkpoint", newest(project), "--out", "predictions.pkl", cwd=project)
    assert tested.returncode == 0, tested.stderr[-3000:]
    accuracy = validated.stdout.split("Done: ")[1].splitlines()[0]
    assert accuracy == tested.stdout.split("Done: ")[1].splitlines()[0]
    # The file holds every prediction: its share of right ones is what was printed.
    predictions = pickle.loads((project / "predictions.pkl").read_bytes())
    right = [int(one["pred_label"]["label"]) == int(one["gt_label"]["label"]) for one in predictions]
    assert len(right) == 240
    assert accuracy == f"accuracy: {100 * sum(right) / len(right):.4f}"


def test_test_with_augmentation_merges_all_views(project: Path) -> None:
    done = eng("test", "tta.py", "--tta", "--checkpoint", newest(project), "--out", "views.pkl", cwd=project)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done: accuracy: " in done.stdout
    predictions = pickle.loads((project / "views.pkl").read_bytes())
    assert {one["num_views"] for one in predictions} == {2}


def test_several_sets_are_augmented_and_written_by_their_names(project: Path) -> None:
    done = eng("test", "two_sets.py", "--tta", "--checkpoint", newest(project), "--out", "sets.pkl", cwd=project)
    assert done.returncode == 0, done.stderr[-3000:]
    line = done.stdout.split("Done: ")[1].splitlines()[0]
    assert [part.split(": ")[0] for part in line.split(", ")] == ["clean/accuracy", "same/accuracy"]
    for name in ("clean", "same"):
        predictions = pickle.loads((project / f"sets_{name}.pkl").read_bytes())
        assert [one["num_views"] for one in predictions] == [2] * 240


def stopped_in_epoch_2(project: Path, number: int, words: list[str]) -> tuple[int, str]:
    """Exit status and output of `eng train` that gets a signal in its second epoch."""
    running = subprocess.Popen(
        [*ENG, "train", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=project,
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
    )
    said = []
    for line in running.stdout:
        said.append(line)
        if "Epoch(train)" in line and "[2][" in line:
            running.send_signal(number)
            break
    said.append(running.communicate(timeout=60)[0])
    return running.returncode, "".join(said)


def test_ctrl_c_says_how_to_go_on_and_resume_ends_the_run(project: Path) -> None:
    words = ["config.py", "--work-dir", "stopped", "--cfg-options", "train_cfg.max_epochs=4", "num_epochs=4"]
    words += ["default_hooks.logger.interval=1"]
    status, text = stopped_in_epoch_2(project, signal.SIGINT, words)
    assert status == 130, text[-3000:]
    assert "Stopped by" in text
    assert "--resume" in text
    assert "Traceback" not in text
    resumed = eng("train", *words[:3], "--resume", *words[3:], cwd=project)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert "Done: 4 epochs, 120 iterations." in resumed.stdout


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")
def test_sigusr1_to_the_agent_of_two_processes_saves_the_run_and_is_its_status(project: Path) -> None:
    words = ["config.py", "--work-dir", "agent", "--nproc", "2", "--cfg-options", "train_cfg.max_epochs=500"]
    words += ["default_hooks.logger.interval=1", "default_hooks.checkpoint.interval=1000"]
    status, text = stopped_in_epoch_2(project, signal.SIGUSR1, words)
    assert status == 128 + signal.SIGUSR1, text[-3000:]
    assert list((project / "agent").glob("*.pth")) != [], text[-3000:]


def test_infer_takes_the_newest_weights_and_prints_pure_json(project: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    folder = project / "pictures"
    folder.mkdir()
    for number in range(3):
        picture = image.new("L", (64, 64))
        picture.paste(255, (16, 16, 48, 48))
        picture.save(folder / f"{number}.png")
    done = eng("infer", "config.py", folder, "--batch-size", 2, "--json", cwd=project)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert [Path(one["input"]).name for one in found] == ["0.png", "1.png", "2.png"]
    assert {one["prediction"]["label"] for one in found} <= {"circle", "square", "triangle"}
    assert found[0]["prediction"] == found[2]["prediction"]


def test_ckpt_commands_see_the_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ckpt", "ls", str(newest(project).parent), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["epoch"], one["iter"]) for one in listed if one["is_last"]] == [(2, 60)]
    assert main(["ckpt", "verify", str(newest(project))]) == 0
    assert main(["ckpt", "diff", str(newest(project)), str(newest(project))]) == 0
    assert main(["ckpt", "diff", str(newest(project).with_name("epoch_1.pth")), str(newest(project))]) == 1


# --- mistakes: one message that names file, line or key, exit status 2, nothing half-written ------------------------


def mistake(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What is said about a call that cannot work."""
    # In-process, `main` lets an unexpected error through; that would fail the test with its traceback.
    assert main(list(map(str, words))) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    assert captured.err.count("eng: error: ") == 1
    return captured.err.split("eng: error: ")[1]


def changed(project: Path, name: str, more: str) -> Path:
    path = project / f"{name}.py"
    path.write_text(f'_base_ = "config.py"\n{more}\n')
    return path


def test_missing_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.py").touch()
    said = mistake(capsys, "train", tmp_path / "confg.py")
    assert "confg.py" in said
    assert "config.py" in said
    assert [path.name for path in tmp_path.iterdir()] == ["config.py"]


def test_syntax_error_names_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.py").write_text("a = 1\nmodel = dict(type=\n")
    said = mistake(capsys, "train", tmp_path / "broken.py", "--work-dir", tmp_path / "w")
    assert "broken.py" in said
    assert "line 2" in said or "broken.py:2" in said
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ('model = dict(type="ShapNet", _delete_=True)', ["unknown_0.py:2", "ShapNet", "ShapeNet"]),
        ("model = dict(wdth=8)", ["unknown_1.py:2", "wdth", "width"]),
        ("val_dataloader = dict(dataset=dict(pipeline=[dict(type='PackImg')]))", ["unknown_2.py:2", "PackImage"]),
    ],
    ids=["type", "argument", "transform"],
)
def test_unknown_names_are_told_with_their_place(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, expected: list[str]
) -> None:
    config = changed(project, expected[0].partition(".")[0], more)
    said = mistake(capsys, "train", config, "--work-dir", tmp_path / "w")
    for word in expected:
        assert word in said
    assert "--traceback" in said
    # A dataset's own code may mend its pipeline, so that is known once it is built: there is a log then, and no more.
    assert not list(tmp_path.rglob("*.pth")) if "pipeline" in more else not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("model = None", "model"),
        ("train_cfg = None", "train_cfg"),
        ("train_dataloader = dict(_delete_=True, batch_size=2)", "dataset"),
        ("optim_wrapper = dict(_delete_=True, type='OptimWrapper')", "optimizer"),
    ],
    ids=["model", "train_cfg", "dataset", "optimizer"],
)
def test_missing_required_key(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, key: str
) -> None:
    config = changed(project, f"missing_{key}", more)
    assert key in mistake(capsys, "train", config, "--work-dir", tmp_path / "w")
    assert not list(tmp_path.rglob("*.pth"))


def test_work_dir_that_cannot_be_written(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A file in the way stops every user, root included.
    (tmp_path / "taken").write_text("mine")
    said = mistake(capsys, "train", project / "config.py", "--work-dir", tmp_path / "taken" / "run")
    assert str(tmp_path / "taken" / "run") in said
    assert "--work-dir" in said
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("command", ["val", "test"])
def test_missing_checkpoint(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    missing = tmp_path / "epoch_9.pth"
    (tmp_path / "epoch_8.pth").touch()
    said = mistake(capsys, command, project / "config.py", "--checkpoint", missing, "--work-dir", tmp_path / "w")
    assert f"there is no checkpoint {missing}; did you mean 'epoch_8.pth'?" in said
    assert not (tmp_path / "w").exists()


def test_resume_from_a_checkpoint_that_does_not_exist(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "epoch_9.pth"
    words = ("train", project / "config.py", "--resume", missing, "--work-dir", tmp_path / "w")
    assert str(missing) in mistake(capsys, *words)
    assert not (tmp_path / "w").exists()


def test_checkpoint_that_is_none(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.pth").write_text("not a checkpoint")
    words = ("--checkpoint", tmp_path / "notes.pth", "--work-dir", tmp_path / "w")
    said = mistake(capsys, "test", project / "config.py", *words)
    assert "notes.pth is not a whole checkpoint" in said
    assert "notes.pth" in mistake(capsys, "ckpt", "show", tmp_path / "notes.pth")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--tta",), "tta_model"),
        (("--out", "predictions.json"), ".pkl"),
        (("--cfg-options", "novalue"), "KEY=VALUE"),
    ],
    ids=["tta without a model", "out that is no pickle", "option without a value"],
)
def test_options_of_test_that_cannot_work(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str
) -> None:
    said = mistake(capsys, "test", project / "config.py", "--work-dir", tmp_path / "w", *words)
    assert expected in said


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: folder / "none.png", "none.png"),
        (lambda folder: folder, "holds no files"),
        (lambda folder: (folder / "text.png").write_text("text") and folder / "text.png", "text.png"),
        (lambda folder: "http://127.0.0.1:9/picture.png", "127.0.0.1:9"),
    ],
    ids=["missing", "empty folder", "no picture", "url that is down"],
)
def test_inputs_of_infer_that_cannot_be_read(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], make, expected: str
) -> None:
    pytest.importorskip("PIL")
    said = mistake(capsys, "infer", project / "config.py", make(tmp_path), "--weights", newest(project))
    assert expected in said


def test_init_leaves_a_folder_with_files_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert "not empty" in mistake(capsys, "init", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_weights_of_another_model_are_told(project: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"other.weight": torch.ones(1)}, "meta": {}}, tmp_path / "other.pth")
    assert main(["ckpt", "diff", str(tmp_path / "other.pth"), str(newest(project))]) == 1
