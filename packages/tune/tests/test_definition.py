from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sweep_parts import LR

from eng.tune import RandomSearch, SweepError, load_sweep, sweep


def test_another_sweep_in_the_folder_is_refused(config: Any, inline: Any, tmp_path: Path) -> None:
    arguments = {"metric": "distance", "mode": "min", "folder": tmp_path / "s", "executor": inline}
    sweep(config(epochs=1), {LR: [0.1]}, **arguments)
    with pytest.raises(SweepError, match=r"holds another sweep(.|\n)*space: .*0.1.*0.2"):
        sweep(config(epochs=1), {LR: [0.1, 0.2]}, **arguments)
    with pytest.raises(
        SweepError, match=r"train_cfg.max_epochs: 1 in the folder, 3 in the config\n  log_level: only in the"
    ):
        sweep(config("del log_level\n", epochs=3), {LR: [0.1]}, **arguments)
    with pytest.raises(SweepError, match="search.type: Grid in the folder, RandomSearch asked for$"):
        sweep(config(epochs=1), {LR: [0.1]}, search=RandomSearch(1), **arguments)
    (tmp_path / "s/config.py").unlink()
    with pytest.raises(SweepError, match="s lacks config.py, the config of its trials; put it back or choose another"):
        sweep(config(epochs=1), {LR: [0.1]}, **arguments)


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("sweep.json", "{}", "KeyError: 'space'"),
        ("sweep.json", '{"metric"', "JSONDecodeError: Expecting"),
        ("trials/0000/trial.json", "{}", "KeyError: 'params'"),
        ("trials/0000/result.json", "[]", "TypeError: .*must be a mapping, not list"),
        ("trials/0000/result.json", '{"states": 1}', "TypeError: .*unexpected keyword argument 'states'"),
    ],
)
def test_damaged_file_is_named(name: str, text: str, cause: str, config: Any, inline: Any, tmp_path: Path) -> None:
    sweep(config(epochs=1), {LR: [0.1]}, metric="distance", mode="min", folder=tmp_path / "s", executor=inline)
    (tmp_path / "s" / name).write_text(text)
    with pytest.raises(SweepError, match=rf"s/{name} is damaged, or written by another version \({cause}"):
        _ = load_sweep(tmp_path / "s").ranked


@pytest.mark.parametrize("folder", ["toy.py", "toy.py/s"])
def test_folder_that_cannot_be_made_is_named(folder: str, config: Any, inline: Any, tmp_path: Path) -> None:
    path = config(epochs=1)
    with pytest.raises(SweepError, match=rf"the sweep cannot use the folder .*{folder} \(.*\); choose another --dir"):
        sweep(path, {LR: [0.1]}, metric="distance", mode="min", folder=tmp_path / folder, executor=inline)
