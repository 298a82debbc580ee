from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sweep_parts import LR

from eng.config import Config
from eng.tune import Choice, Float, Int, Normal, RandomSearch, SweepError, load_sweep, sweep
from eng.tune._definition import Definition, write_definition


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
    ("old", "new", "shown"),
    [
        (Float(0, 1, step=0.1), Float(0, 1, step=0.25), "uniform(0, 1, 0.1) in the folder, x=uniform(0, 1, 0.25)"),
        (Int(1, 9), Int(1, 9, step=2), "int(1, 9) in the folder, x=int(1, 9, 2)"),
        (Choice((1, 2)), Choice(("1", "2")), "choice(1, 2) in the folder, x=choice('1', '2')"),
        (Choice((1, 0)), Choice((True, False)), "choice(1, 0) in the folder, x=choice(True, False)"),
        (Choice((1, 2)), Choice((1.0, 2.0)), "choice(1, 2) in the folder, x=choice(1.0, 2.0)"),
        (Float(0.1234567, 1), Float(0.1234568, 1), "uniform(0.1234567, 1) in the folder, x=uniform(0.1234568, 1)"),
        (Normal(0, 0.1234567), Normal(0, 0.1234568), "normal(0, 0.1234567) in the folder, x=normal(0, 0.1234568)"),
        (Float(0, 1), Float(0.0, 1.0), None),
        (Choice(((0.9, 0.99), "a")), Choice(([0.9, 0.99], "a")), None),
    ],
)
def test_axes_with_other_values_are_another_sweep(old: Any, new: Any, shown: str | None, tmp_path: Path) -> None:
    cfg = Config({"x": 1})
    known = write_definition(tmp_path, Definition("config.py", "loss", "min", {"x": old}), cfg)
    known.trial(tmp_path, 0, {"x": 1}).runs[0].write({"params": {"x": 1}})
    before = (tmp_path / "sweep.json").read_bytes()
    wanted = Definition("config.py", "loss", "min", {"x": new})
    if shown is None:
        assert write_definition(tmp_path, wanted, cfg).space == {"x": new}
        return
    with pytest.raises(SweepError, match=rf"\n  space: x={re.escape(shown)} asked for$"):
        write_definition(tmp_path, wanted, cfg)
    assert (tmp_path / "sweep.json").read_bytes() == before


def test_setting_that_changed_in_a_pure_python_config_is_the_only_one_listed(tmp_path: Path) -> None:
    path = tmp_path / "pure.py"
    cfg = "from torch.optim import SGD\nlr = {lr}\nparts = [dict(type=SGD, number=number) for number in range(6)]\n"
    (tmp_path / "s").mkdir()
    definition = Definition("pure.py", "loss", "min", {"x": Choice((1,))})
    path.write_text(cfg.format(lr=0.1))
    known = write_definition(tmp_path / "s", definition, Config.fromfile(path))
    known.trial(tmp_path / "s", 0, {"x": 1}).runs[0].write({"params": {"x": 1}})
    assert write_definition(tmp_path / "s", definition, Config.fromfile(path)) == known
    path.write_text(cfg.format(lr=0.2))
    with pytest.raises(SweepError, match=r"with its settings:\n  lr: 0.1 in the folder, 0.2 in the config$"):
        write_definition(tmp_path / "s", definition, Config.fromfile(path))
    assert sorted(file.name for file in (tmp_path / "s").iterdir()) == ["config.py", "sweep.json", "trials"]


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
