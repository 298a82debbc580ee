from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eng.config import Config, ConfigFileError

Write = Callable[..., Path]


def test_yaml_makes_no_objects(write: Write) -> None:
    with pytest.raises(ConfigFileError, match="could not determine a constructor"):
        Config.fromfile(write(a_yaml="x: !!python/object/apply:os.getcwd []"))
