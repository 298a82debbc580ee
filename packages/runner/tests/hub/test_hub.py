"""Configs, models and indexes of installed libraries."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eng.hub import get_config, get_model

LIBRARY = "tinylib_of_tests"


def test_config_of_a_library(library: Path) -> None:
    cfg = get_config(f"{LIBRARY}::affine/plain.py")
    assert cfg.model.type == "LibraryAffine"
    assert "model_path" not in cfg
    assert get_config(f"{LIBRARY}::affine/plain").model == cfg.model


def test_config_with_its_published_weights(library: Path) -> None:
    assert get_config(f"{LIBRARY}::affine/double.py", pretrained=True).model_path == str(library / "double.pth")


def test_model_of_a_library(library: Path) -> None:
    model = get_model(f"{LIBRARY}::affine/plain.py", scale=3.0)
    assert type(model).__module__ == f"{LIBRARY}.models"
    assert model.weight.item() == 3.0


def test_model_with_its_published_weights(library: Path) -> None:
    model = get_model(f"{LIBRARY}::affine/double.py", pretrained=True)
    assert model.weight.item() == 2.0
    assert model(torch.ones(1, 2, 2))[0].item() == 2.0


@pytest.mark.parametrize("path", ["affine/plain.py", "::plain.py", f"{LIBRARY}::"])
def test_path_of_another_form(path: str) -> None:
    with pytest.raises(ValueError, match="expected 'library::path/of/config.py'"):
        get_config(path)


def test_library_that_is_not_installed() -> None:
    with pytest.raises(ModuleNotFoundError, match="'no_such_library' is not installed") as caught:
        get_config("no_such_library::a.py")
    assert isinstance(caught.value, ValueError)  # as in MMEngine


def test_config_that_is_not_there_has_near_names(library: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no config 'affine/plan.py'; did you mean 'affine/plain.py'"):
        get_config(f"{LIBRARY}::affine/plan.py")


def test_library_without_configs(library: Path) -> None:
    (library / "configs").rename(library / "elsewhere")
    with pytest.raises(FileNotFoundError, match=f"{LIBRARY} ships no configs"):
        get_config(f"{LIBRARY}::affine/plain.py")


def test_config_without_published_weights(library: Path) -> None:
    with pytest.raises(ValueError, match="publishes no checkpoint for 'affine/plain.py'"):
        get_model(f"{LIBRARY}::affine/plain.py", pretrained=True)
