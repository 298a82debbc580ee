"""``eng sweep`` and ``eng sweep show``."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sweep_parts import CURVATURE, LR

CHROMIUM = shutil.which("chromium")
METRIC = ("--metric", "distance", "--mode", "min")
RANGE = f"{LR}=loguniform(1e-2,1.0)"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, inline: Any) -> Any:
    """Trains the runs of `eng sweep` in this process."""
    monkeypatch.setattr("eng.tune._sweep_commands._executor_from_options", lambda options, folder: inline)
    return inline


@pytest.mark.timeout(150)
def test_grid_in_processes_of_its_own_then_table_and_best_config(config: Any, eng: Any, tmp_path: Path) -> None:
    status, out, err = eng("sweep", config(epochs=1), *METRIC, "--grid", f"{LR}=0.1,0.5", "--jobs", 2)
    assert status == 0, out + err
    assert "trial 0001 complete: 0.25  optim_wrapper.optimizer.lr=0.5" in out
    assert "Best: trial 0001, distance = 0.25" in out
    assert (tmp_path / "work_dirs/toy_sweep/trials/0000/epoch_1.pth").exists()
    status, out, _ = eng("sweep", "show", "work_dirs/toy_sweep")
    assert status == 0
    assert [line.split() for line in out.splitlines()[:3]] == [
        ["trial", "state", "distance", "lr"],
        ["0001", "complete", "0.25", "0.5"],
        ["0000", "complete", "0.81", "0.1"],
    ]
    status, out, err = eng("train", "work_dirs/toy_sweep/best.py")
    assert status == 0, out + err
    diary = (tmp_path / "work_dirs/best/diary.txt").read_text()
    assert diary.count("iter") == 2
    passport = list((tmp_path / "work_dirs/toy_sweep/trials/0000").glob("**/passport*.json"))
    assert passport, sorted((tmp_path / "work_dirs/toy_sweep/trials/0000").rglob("*"))


@pytest.fixture
def swept(config: Any, eng: Any, here: Any) -> Any:
    words = ("sweep", config(epochs=1), *METRIC, "--grid", f"{LR}=0.1,0.5", f"{CURVATURE}=0.5,1.0", "--dir", "s")
    status, out, err = eng(*words)
    assert status == 0, out + err
    return eng


def test_show_prints_json_and_writes_the_best_config_where_it_is_asked_for(swept: Any, tmp_path: Path) -> None:
    status, out, err = swept("sweep", "show", "s", "--json", "--best", "good.py")
    assert status == 0
    data = json.loads(out)
    assert data["trials"][0]["params"] == {LR: 0.5, CURVATURE: 1.0}
    assert data["trials"][0]["value"] == pytest.approx(0.25)
    assert set(data["importance"]) == {LR, CURVATURE}
    assert "best config: good.py" in err
    from eng.config import Config

    assert Config.fromfile(tmp_path / "good.py").optim_wrapper.optimizer.lr == 0.5


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium (apt-get install)")
@pytest.mark.timeout(100)
def test_page_is_drawn_by_a_browser(swept: Any, tmp_path: Path) -> None:
    status, _, err = swept("sweep", "show", "s", "--html")
    assert status == 0
    assert "page: s/sweep.html" in err
    text = (tmp_path / "s/sweep.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|src=|href=", text)  # it asks nobody
    probe = """<script>
    const boxes = [...document.querySelectorAll('path.trial')].map(path => path.getBoundingClientRect());
    const last = [...document.querySelectorAll('path.trial')].map(path => path.getPointAtLength(path.getTotalLength()).y);
    document.title = JSON.stringify({widths: boxes.map(box => box.width > 300), last: last,
        rows: document.querySelectorAll('tr.best, tr[class]').length,
        names: [...document.querySelectorAll('svg text')].map(text => text.textContent)});
    </script></body>"""
    (tmp_path / "probe.html").write_text(text.replace("</body>", probe), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with (tmp_path / "dom.html").open("wb") as dom, (tmp_path / "errors.txt").open("wb") as errors:
        command = [
            CHROMIUM,
            *flags,
            f"--user-data-dir={tmp_path}/profile",
            "--dump-dom",
            f"file://{tmp_path}/probe.html",
        ]
        subprocess.run(command, stdout=dom, stderr=errors, timeout=90, check=True)
    title = re.search(r"<title>(\{.*?\})</title>", (tmp_path / "dom.html").read_text(encoding="utf-8"))
    assert title is not None
    data = json.loads(title[1])
    assert data["widths"] == [True] * 4
    assert {"lr", "curvature", "distance"} <= set(data["names"])
    # Drawn from the worst to the best; a greater distance stands higher, so that its y is smaller.
    assert data["last"] == sorted(data["last"])
    assert data["rows"] == 1


def test_random_points_of_ranges(config: Any, eng: Any, here: Any) -> None:
    words = (
        "sweep",
        config(epochs=1),
        *METRIC,
        "--random",
        3,
        "--space",
        RANGE,
        f"{CURVATURE}=choice(1.0,2.0)",
        "--dir",
        "s",
    )
    status, out, err = eng(*words)
    assert status == 0, out + err
    status, out, _ = eng("sweep", "show", "s", "--json")
    trials = json.loads(out)["trials"]
    assert len({trial["params"][LR] for trial in trials}) == 3
    for trial in trials:
        assert trial["value"] == pytest.approx((1 - trial["params"][LR] * trial["params"][CURVATURE]) ** 2, abs=1e-6)


def test_optuna_prunes_and_keeps_its_study_in_a_database(config: Any, eng: Any, here: Any, tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    words = (
        "sweep", config(epochs=4), *METRIC, "--optuna", 2, "--space", f"{LR}=0.001,0.5", "--sampler", "BruteForce",
        "--pruner", "Threshold", "--pruner-args", '{"upper": 0.9, "n_warmup_steps": 1}', "--storage", "sqlite:///study.db",
        "--study", "mine", "--dir", "s",
    )  # fmt: skip
    status, out, err = eng(*words)
    assert status == 0, out + err
    assert "pruned" in out
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{tmp_path}/study.db")
    assert sorted(trial.state.name for trial in study.trials) == ["COMPLETE", "PRUNED"]
    _, out, _ = eng("sweep", "show", "s")
    assert [line.split()[1] for line in out.splitlines()[1:3]] == ["complete", "pruned"]


FOLDS = """
train_dataloader = dict(dataset=dict(_delete_=True, type='KFoldDataset', dataset=dict(type='Four', num_samples=6), num_splits=3),
                        batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False))
val_dataloader = dict(dataset=dict(type='KFoldDataset', dataset=dict(type='Four', num_samples=6), num_splits=3, test_mode=True),
                      batch_size=1)
""".replace("_delete_=True, ", "")


def test_folds_of_a_k_fold_dataset_are_an_axis(config: Any, eng: Any, here: Any, tmp_path: Path) -> None:
    status, out, err = eng("sweep", config(FOLDS, epochs=1), *METRIC, "--grid", f"{LR}=0.5", "--folds", 3, "--dir", "s")
    assert status == 0, out + err
    assert here.started == ["0000/fold_0", "0000/fold_1", "0000/fold_2"]
    from eng.config import Config

    for fold in range(3):
        dumped = next((tmp_path / f"s/trials/0000/fold_{fold}").glob("**/toy.py"), None) or next(
            (tmp_path / f"s/trials/0000/fold_{fold}").glob("**/config.py")
        )
        cfg = Config.fromfile(dumped)
        assert (cfg.train_dataloader.dataset.fold, cfg.val_dataloader.dataset.fold) == (fold, fold)
    _, out, _ = eng("sweep", "show", "s", "--json")
    assert json.loads(out)["trials"][0]["value"] == pytest.approx(0.5**4)  # 4 of 6 samples, one each step


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--grid", "optim_wrapper.optimizer.lrr=1,2"], 2, "did you mean optim_wrapper.optimizer.lr"),
        (["--grid", "model.curvatur=1,2"], 2, "no key 'model.curvatur'; did you mean model.curvature"),
        (["--grid", "lr=0.1,0.2"], 2, "no key 'lr'; did you mean optim_wrapper.optimizer.lr?"),
        (["--grid", "optimizer.lr=1,2"], 2, "no key 'optimizer.lr'; did you mean optim_wrapper.optimizer.lr?"),
        (["--grid", "depth=1,2"], 2, "the config has no key 'depth'"),
        (["--grid", "modle.curvature=1,2"], 2, "no key 'modle.curvature'; did you mean model.curvature"),
        (["--grid", "randomness.sed=1,2"], 2, "the config has no key 'randomness.sed' (eng check would say: "),
        (["--grid", "work_dir=a,b"], 2, "work_dir is no axis: the sweep gives each trial its own"),
        (["--grid", f"{LR}=0.1", f"{LR}=0.2"], 2, f"{LR} is given twice; write all its values in one list"),
        (["--grid", f"{LR}="], 2, "the axis is empty; give values"),
        (["--grid", f"{LR}=,"], 2, f"{LR}: choice() is empty: give at least one value"),
        (["--grid", f"{LR}=[0.1,0.2"], 2, f"{LR}: '[0.1,0.2': a bracket is opened and not closed"),
        (["--grid", f"{LR}=unifrom(1,2)"], 2, f"{LR}: there is no distribution unifrom; did you mean uniform"),
        (["--grid", f"{LR}=1", "--max-failures", -1], 2, "Invalid value for '--max-failures': -1"),
        (["--grid", f"{LR}=uniform(0,1)"], 2, "a grid takes lists of values; use --random or --optuna for ranges"),
        (["--random", 2, "--space", f"{LR}=uniform(3,2)"], 2, "is empty: the low end must not be above the high end"),
        (["--random", 2, "--space", f"{LR}=loguniform(0,1)"], 2, "a logarithmic range begins above 0"),
        (["--random", 0, "--space", RANGE], 2, "a sweep needs at least 1 trial, got 0"),
        (["--random", 2], 2, "--random and --optuna need axes: --space KEY=RANGE"),
        ([], 2, "give one of --grid KEY=A,B, --random N or --optuna N"),
        (["--grid", f"{LR}=1", "--random", 2], 2, "give one of --grid KEY=A,B, --random N or --optuna N"),
        (["--grid", f"{LR}=1", "--space", RANGE], 2, "--grid takes its axes itself; leave --space out"),
        (["--optuna", 2, "--space", RANGE, "--sampler", "TPF"], 2, "Optuna has no sampler 'TPF'"),
        (["--optuna", 2, "--space", RANGE, "--pruner-args", "[1"], 2, "--pruner-args takes a JSON object, got '[1'"),
        (["--optuna", 2, "--space", RANGE, "--storage", "nosuch://db"], 2, "the storage nosuch://db cannot be used"),
        (["--optuna", 2, "--space", RANGE, "--storage", "toy.py"], 2, "the storage toy.py cannot be used: it is no journal"),
        (["--optuna", 2, "--space", RANGE, "--retry-failed"], 2, "Optuna keeps a failed trial as failed"),
        (["--optuna", 2, "--space", f"{LR}=normal(0,1)"], 2, "Optuna has no normal distribution"),
        (["--grid", f"{LR}=1,2", "--metric", "distanse"], 2, "the metric 'distanse'; did you mean distance"),
        (["--grid", f"{LR}=1", "--folds", 3], 2, "folds need a KFoldDataset in the config"),
        (["--grid", f"{LR}=1", "--max-failures", 0, "--cfg-options", "model.broken=True"], 2,
         "1 trial failed and --max-failures is 0: the last is 0000: RuntimeError: this model cannot be built"),
        (["--grid", f"{LR}=0.1", "model.broken=False,True"], 1, "trial 0001 failed: 0001: RuntimeError: this model"),
    ],
)  # fmt: skip
def test_mistakes_are_named(words: list[Any], status: int, message: str, config: Any, eng: Any, here: Any) -> None:
    if "--optuna" in words:
        pytest.importorskip("optuna")
    ended, out, err = eng("sweep", config(epochs=1), *METRIC, *words, "--dir", "s")
    assert message in " ".join((out + err).split()), out + err
    assert ended == status, out + err


def test_variable_of_the_config_that_nothing_reads_is_warned_of(
    config: Any, eng: Any, here: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eng.tune._sweep.logger", logging.getLogger("outside of eng"))  # earlier runs set eng's levels
    status, _, _ = eng("sweep", config("lr = 0.1\n", epochs=1), *METRIC, "--grid", "lr=0.1,0.2", "--dir", "s")
    assert status == 0
    assert "lr: a variable of the config changes nothing after the file is read" in caplog.text
    assert "did you mean optim_wrapper.optimizer.lr?" in caplog.text


def test_failed_trials_are_tried_again_where_that_is_asked_for(
    config: Any, eng: Any, here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("sweep", config(epochs=1), *METRIC, "--grid", f"{LR}=0.5", "model.broken=True,False", "--dir", "s")
    status, _, err = eng(*words)
    assert status == 1
    assert "Logs: s/trials/NUMBER/trial.log.\nAfter the cause is mended, the same command with --retry-failed" in err
    from tune_toys import Bowl

    original = Bowl.__init__
    monkeypatch.setattr(Bowl, "__init__", lambda self, curvature=1.0, broken=False: original(self, curvature))
    assert eng(*words)[0] == 1
    status, out, _ = eng(*words, "--retry-failed")
    assert status == 0
    assert "trial 0000 complete: 0.25" in out
    assert here.started == ["0000", "0001", "0000"]


def test_logs_of_failed_trials_lie_in_their_folds_and_optuna_has_no_second_try(
    config: Any, eng: Any, here: Any
) -> None:
    pytest.importorskip("optuna")
    words = ("--optuna", 1, "--space", RANGE, "--folds", 2, "--cfg-options", "model.broken=True")
    status, _, err = eng("sweep", config(FOLDS, epochs=1), *METRIC, *words, "--dir", "s")
    assert status == 1
    assert "Logs: s/trials/NUMBER/fold_K/trial.log." in err
    assert "--retry-failed" not in err


def test_storage_of_a_first_call_may_be_mended_without_another_folder(config: Any, eng: Any, here: Any) -> None:
    pytest.importorskip("optuna")
    words = ("sweep", config(epochs=1), *METRIC, "--optuna", 1, "--space", RANGE, "--dir", "s", "--storage")
    assert eng(*words, "sqlite:///no/such/folder/study.db")[0] == 2
    status, out, err = eng(*words, "study.log")
    assert status == 0, out + err


@pytest.mark.parametrize("storage", [None, "sqlite:///study.db"])
def test_moved_folder_goes_on_with_its_study(
    storage: str | None, config: Any, eng: Any, here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna")
    words = ["--space", RANGE, *(["--storage", storage] if storage else [])]
    start = ("sweep", config(epochs=1), *METRIC)
    assert eng(*start, "--optuna", 2, *words, "--dir", "s")[0] == 0
    (tmp_path / "s").rename(tmp_path / "moved")
    status, out, err = eng(*start, "--optuna", 3, *words, "--dir", "moved")
    assert status == 0, out + err
    assert here.started == ["0000", "0001", "0002"]
    if storage is not None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        status, out, err = eng(*start, "--optuna", 4, *words, "--dir", "../moved")
        assert (status, here.started[3:]) == (2, [])
        assert "lacks 3 of the trials in the sweep's folder: it is another storage" in err
        assert eng("sweep", "show", "../moved")[0] == 0


def test_folder_without_a_sweep_is_named(eng: Any) -> None:
    status, out, err = eng("sweep", "show", "nowhere")
    assert status == 2
    assert "nowhere holds no sweep" in out + err


def test_ray_and_submitit_exclude_each_other(config: Any, eng: Any) -> None:
    status, out, err = eng("sweep", config(), *METRIC, "--grid", f"{LR}=1", "--ray", "local", "--submitit")
    assert (status, "give --submitit or --ray, not both" in out + err) == (2, True)
