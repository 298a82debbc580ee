"""`find_lr`, `find_batch_size` and `find_workers`: what they find, and that they leave no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from tune_parts import Noisy, runner

from eng.runner import Runner, SettingsError
from eng.tune import TuneError


def test_unknown_setting_and_run_without_training_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tune\(\) measures batch, lr, workers, not 'momentum'"):
        runner(tmp_path).tune("momentum")
    bare = Runner(Noisy(), str(tmp_path), log_level="ERROR")
    with pytest.raises(TuneError, match="nothing to train with"):
        bare.tune("lr")
