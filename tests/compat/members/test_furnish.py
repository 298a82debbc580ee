"""Members of eng's classes are there while the alias is installed."""

from __future__ import annotations

import sys

import eng.compat
from eng.infer import BaseInferencer
from eng.runner import Runner


def test_members_go_with_the_alias() -> None:
    assert hasattr(Runner, "_log_env") and hasattr(BaseInferencer, "_get_repo_or_mim_dir")
    eng.compat.uninstall()
    assert not hasattr(Runner, "_log_env") and not hasattr(BaseInferencer, "_get_repo_or_mim_dir")
    eng.compat.install()
    assert hasattr(Runner, "_log_env")
    assert sys.modules["eng.runner.runner"].__spec__ is not None
