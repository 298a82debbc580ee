"""The configs of docs/bring-your-own.md that need a library build a model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eng.model.adapters import build_model

PAGE = Path(__file__).parents[3] / "docs/bring-your-own.md"
BLOCKS = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["timm", "transformers", "peft"])
def test_blocks_build_a_model(block: str) -> None:
    settings: dict = {}
    exec(block, settings)
    pytest.importorskip(settings["model"]["type"])
    if "model" in settings["model"]:
        pytest.importorskip(settings["model"]["model"]["type"])
    assert callable(build_model({**settings["model"], "loss": settings.get("loss")}).train_step)
