from __future__ import annotations

import pytest
from curve_files import start

from eng.visualization.curves import UnknownCurveError, choose_names, load_runs


def test_runs_in_folders_of_one_name_are_told_apart(tmp_path) -> None:
    for parent in ("a", "b"):
        start(tmp_path / parent / "run", "20260101_000000", 2)
    assert [run.name for run in load_runs([tmp_path / "a/run", tmp_path / "b/run"])] == ["a/run", "b/run"]


def test_an_unknown_curve_gets_near_names(tmp_path) -> None:
    start(tmp_path, "20260101_000000", 4)
    runs = load_runs([tmp_path])
    with pytest.raises(UnknownCurveError, match="'acuracy'; did you mean 'accuracy'"):
        choose_names(runs, ["acuracy"])
    with pytest.raises(UnknownCurveError, match="there are: accuracy, loss, time"):
        choose_names(runs, ["xyz"])
