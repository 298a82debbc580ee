from __future__ import annotations

import pytest
from config_parts import Write

from eng.config import Config, ConfigFileError


def test_yaml_makes_no_objects(write: Write) -> None:
    with pytest.raises(ConfigFileError, match="could not determine a constructor"):
        Config.fromfile(write(a_yaml="x: !!python/object/apply:os.getcwd []"))
