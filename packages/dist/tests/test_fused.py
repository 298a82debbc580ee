from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_readme_examples(block: str) -> None:
    names = {"__name__": "readme"}
    exec(compile(block, str(README), "exec"), names)
    assert set(names) > {"__name__"}
