"""Every example in the docstrings and the README runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import eng.structures

README = Path(__file__).parents[1] / "README.md"


BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.S) if README.exists() else []


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_readme_examples(block: str) -> None:
    names = {"__name__": "readme"}
    exec(compile(block, str(README), "exec"), names)
    assert set(names) > {"__name__"}


def test_readme_has_examples_that_check_themselves() -> None:
    assert len(BLOCKS) == 2 and all("assert " in block for block in BLOCKS)


def test_private_names_of_torch_stay_in_one_module() -> None:
    private = re.compile(r"^\s*(?:from|import) torch\S*(?:\._\w+| import _\w+)", re.M)
    sources = Path(eng.structures.__file__).parent.glob("*.py")
    assert [path.name for path in sources if private.search(path.read_text())] == ["_pytree.py"]


def test_public_names() -> None:
    assert set(eng.structures.__all__) == {
        *("BaseDataElement", "InstanceData", "LabelData", "PixelData"),
        *("Field", "collate", "stack", "__version__"),
        *("FieldNameError", "FieldTypeError", "FieldValueError", "LengthError", "MissingFieldError", "StructureError"),
    }
