from __future__ import annotations

from pathlib import Path

import click
import pytest

from eng.cli import Services
from eng.cli._services import parse_cfg_options
from eng.registry import MODELS


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_config_is_loaded_and_changed(tmp_path: Path) -> None:
    file = write(tmp_path, "a.py", "model = dict(depth=18, names=['a'])\n")
    cfg = Services().load_config(file, ["model.depth=50", "model.names=[x,y]", "lr=1e-3"])
    assert (cfg.model.depth, cfg.model.names, cfg.lr) == (50, ["x", "y"], 1e-3)
    assert Services().load_config(file, {"model.depth": 34}).model.depth == 34
    assert Services().load_config(file).model.depth == 18


def test_modules_beside_the_config_can_be_imported(tmp_path: Path) -> None:
    write(tmp_path, "beside_this_config.py", "FOUND = 1\n")
    file = write(tmp_path, "a.py", "custom_imports = dict(imports=['beside_this_config'])\n")
    Services().load_config(file)
    import beside_this_config

    assert beside_this_config.FOUND == 1


@pytest.mark.parametrize("word", ["a", "=1", "-x=1"])
def test_setting_that_is_none(word: str) -> None:
    with pytest.raises(click.UsageError, match="takes KEY=VALUE"):
        parse_cfg_options([word])


@pytest.mark.parametrize(
    ("word", "value"),
    [("a=1", 1), ("a=1.5", 1.5), ("a=true", True), ("a=None", None), ("a=[1,2]", [1, 2]), ("a=(1,2)", (1, 2)),
     ("a=x=y", "x=y"), ("a=1,2", [1, 2])],
)  # fmt: skip
def test_values_are_read_as_the_config_reads_them(word: str, value: object) -> None:
    assert parse_cfg_options([word]) == {"a": value}


def test_no_settings() -> None:
    assert parse_cfg_options([]) == {}


def test_model_is_built_in_the_scope_of_its_config() -> None:
    with MODELS.isolated(empty=True):
        MODELS.register_module("Net", module=lambda depth: depth)
        assert Services().build_model({"model": {"type": "Net", "depth": 3}, "default_scope": "eng"}) == 3
        assert Services().build_model({"type": "Net", "depth": 4}) == 4
