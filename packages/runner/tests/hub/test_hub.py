"""Configs, models and indexes of installed libraries."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from eng.hub import ModelEntry, find_model, get_config, get_model, list_model_entries

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


def test_index_lists_models_that_have_a_config(library: Path) -> None:
    assert list_model_entries(LIBRARY) == (
        ModelEntry("affine_double", ("double",), library / "configs/affine/double.py", str(library / "double.pth")),
        ModelEntry("affine_plain", (), library / "configs/affine/plain.py", None),
    )
    assert find_model(LIBRARY, "double").name == "affine_double"


def test_index_where_mim_puts_it(library: Path) -> None:
    (library / ".mim").mkdir()
    for name in ("model-index.yml", "affine", "configs"):
        (library / name).rename(library / ".mim" / name)
    assert find_model(LIBRARY, "affine_plain").config == library / ".mim/configs/affine/plain.py"
    assert get_config(f"{LIBRARY}::affine/plain.py").model.type == "LibraryAffine"


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["affine/plain.py", "::plain.py", f"{LIBRARY}::"])
def test_path_of_another_form(path: str) -> None:
    with pytest.raises(ValueError, match="expected 'library::path/of/config.py'"):
        get_config(path)


def test_library_that_is_not_installed() -> None:
    with pytest.raises(ModuleNotFoundError, match="'no_such_library' is not installed"):
        get_config("no_such_library::a.py")


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


def test_library_without_an_index(library: Path) -> None:
    (library / "model-index.yml").unlink()
    with pytest.raises(FileNotFoundError, match=f"{LIBRARY} has no model index"):
        list_model_entries(LIBRARY)


def test_index_that_names_a_missing_metafile(library: Path) -> None:
    (library / "affine" / "metafile.yml").unlink()
    with pytest.raises(FileNotFoundError, match=r"metafile\.yml"):
        list_model_entries(LIBRARY)


def test_metafile_with_a_model_that_has_no_name(library: Path) -> None:
    (library / "affine" / "metafile.yml").write_text("Models:\n  - Config: configs/affine/plain.py\n")
    with pytest.raises(
        ValueError, match=r"metafile\.yml: a model has a Config \(configs/affine/plain.py\) and no Name"
    ):
        list_model_entries(LIBRARY)


@pytest.mark.parametrize(
    ("name", "hint"), [("dubble", "did you mean 'double'"), ("zzz", "publishes 3 models")], ids=["near", "far"]
)
def test_name_that_no_index_knows(library: Path, name: str, hint: str) -> None:
    with pytest.raises(KeyError, match=hint):
        find_model(LIBRARY, name)
