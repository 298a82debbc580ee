from __future__ import annotations

from pathlib import Path

import pytest

from eng.hub import ModelEntry, find_model, get_config, list_model_entries

LIBRARY = "tinylib_of_tests"


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
