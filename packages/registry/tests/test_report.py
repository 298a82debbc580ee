from __future__ import annotations

import json
from pathlib import Path

import pytest

from eng.registry import HOOKS, MODELS, Registry, count_registered_modules, traverse_registry_tree


def test_counts_follow_the_tree_and_the_folders(tree: dict[str, Registry]) -> None:
    tree["base"].register_module(module=json.JSONDecoder)
    tree["alpha"].register_module(module=Path)
    assert traverse_registry_tree(tree["beta"], verbose=False) == [
        {"num_modules": 1, "scope": "base", "json": ["JSONDecoder"]},
        {"num_modules": 1, "scope": "alpha", "/".join(Path.__module__.split(".")[:-1]): ["Path"]},
        {"num_modules": 0, "scope": "beta"},
    ]


def test_traverse_prints_a_line_for_each(tree: dict[str, Registry], capsys: pytest.CaptureFixture[str]) -> None:
    traverse_registry_tree(tree["base"])
    assert capsys.readouterr().out.splitlines()[1] == "0 in registry 'model' of scope 'alpha'"


def test_count_covers_all_roots_and_is_saved(tmp_path: Path) -> None:
    MODELS.register_module(module=json.JSONDecoder)
    found = count_registered_modules(save_path=str(tmp_path / "new"), verbose=False)
    assert len(found["registries"]) == 23
    assert found["registries"]["MODELS"] == [{"num_modules": 1, "scope": "eng", "json": ["JSONDecoder"]}]
    saved = json.loads((tmp_path / "new" / "modules_statistic_results.json").read_text())
    assert saved == found


def test_count_prints(capsys: pytest.CaptureFixture[str]) -> None:
    HOOKS.register_module(module=json.JSONDecoder)
    count_registered_modules()
    assert "1 in registry 'hook' of scope 'eng'" in capsys.readouterr().out


def test_table_keeps_names_with_brackets() -> None:
    registry = Registry("x", scope="base")
    registry.register_module(name="[bold]Net", module=int)
    assert "[bold]Net" in repr(registry)
