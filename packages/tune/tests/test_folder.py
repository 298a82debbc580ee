from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from eng.tune._folder import Result, Run, read_json, write_json


def test_file_that_cannot_be_written_stays_as_it_was_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"value": 1})

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match=r"No space left on device: .*result.json'"):
        write_json(path, {"value": 2})
    assert read_json(path) == {"value": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_folder_in_place_of_a_file_is_told_and_named(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    with pytest.raises(IsADirectoryError, match=r"is a directory; name the file to write inside it: .*result.json'"):
        write_json(tmp_path / "result.json", {})


def test_result_of_a_run_whose_folder_was_removed_is_not_that_of_the_next_run(tmp_path: Path) -> None:
    run = Run(tmp_path / "trials" / "0003")
    data = {"number": 3, "params": {"lr": (0.1, 0.2)}, "options": {}}
    run.write(data)
    shutil.rmtree(run.folder)
    run.finish(Result("complete", 0.5))
    assert not run.exists()
    run.write(data)
    assert run.result is None
    run.finish(Result("complete", 0.7))
    run.write(data)  # made again beside a fold that was removed
    assert run.result == Result("complete", 0.7)
    run.write({**data, "params": {"lr": (0.3, 0.4)}})
    assert run.result is None
