"""Old code, old names and old paths on eng, with every package installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(script: str, *args: str, cwd: Path | None = None, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *args], capture_output=True, text=True, cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env}, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


ALIAS = "import eng.compat; eng.compat.install()\n"


def test_classes_are_the_same_under_both_names() -> None:
    out = run(
        ALIAS
        + """
import eng.runner, eng.registry, eng.hooks.hook, mmengine, mmengine.runner
from mmengine.hooks.hook import Hook
from mmengine import Config, MessageHub, Registry, ConfigDict, mkdir_or_exist
from mmengine.registry import MODELS
print(mmengine.runner.Runner is eng.runner.Runner, Hook is eng.hooks.hook.Hook, MODELS is eng.registry.MODELS)
from mmengine import Hook as exported_by_the_manual
print(exported_by_the_manual is Hook)
"""
    )
    assert out.split() == ["True"] * 4


def test_the_scope_mmengine_is_the_root_and_class_paths_resolve() -> None:
    out = run(
        ALIAS
        + """
from mmengine.registry import HOOKS, LOOPS, DefaultScope
print(HOOKS.get("mmengine.IterTimerHook").__name__, HOOKS.get("mmengine.hooks.IterTimerHook").__module__)
with DefaultScope.overwrite_default_scope("mmengine"):
    print(type(HOOKS.build(dict(type="EmptyCacheHook"))).__name__)
print(LOOPS.get("mmengine.runner.EpochBasedTrainLoop").__name__)
"""
    )
    assert out.split() == ["IterTimerHook", "eng.hooks.iter_timer_hook", "EmptyCacheHook", "EpochBasedTrainLoop"]


def test_missing_names_are_explained() -> None:
    out = run(
        ALIAS
        + """
import mmengine.runner
for module, name in ((mmengine.runner, "Runer"), (mmengine, "Confg")):
    try:
        getattr(module, name)
    except AttributeError as error:
        print(error)
"""
    )
    assert "did you mean Runner" in out
    assert "did you mean Config" in out
    assert out.count("docs/differences.md") == 2


def test_the_variable_turns_the_alias_on_for_the_command(tmp_path) -> None:
    (tmp_path / "old.py").write_text("custom_imports = dict(imports=['old_library'])\nhook = dict(type='OldHook')\n")
    (tmp_path / "old_library.py").write_text("from mmengine.hooks import Hook\nprint('imported', Hook.__module__)\n")
    call = [sys.executable, "-m", "eng.cli", "config", "show", "old.py"]
    env = {**os.environ, "ENG_COMPAT": "1"}
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=100, check=False)
    assert "imported eng.hooks.hook" in done.stdout, done.stderr[-2000:]
    env["ENG_COMPAT"] = "0"
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=100, check=False)
    assert done.returncode == 2
    assert "mmengine" in done.stderr


def test_global_state_is_forgotten_and_log_files_are_closed(tmp_path) -> None:
    out = run(
        ALIAS
        + """
import sys
from mmengine.logging import MMLogger, MessageHub
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
logger = MMLogger.get_instance("one", log_file=sys.argv[1])
MessageHub.get_instance("one"), Visualizer.get_instance("one"), DefaultScope.get_instance("one", scope_name="mmdet")
handlers = list(logger.handlers)
eng.compat.reset_global_state()
kinds = (MMLogger, MessageHub, Visualizer, DefaultScope)
print([kind.check_instance_created("one") for kind in kinds], DefaultScope.get_current_instance(), logger.handlers)
print(all(getattr(handler, "stream", None) is None or handler.stream is sys.stdout for handler in handlers))
""",
        str(tmp_path / "run.log"),
    )
    assert out.splitlines() == ["[False, False, False, False] None []", "True"]


def test_pickles_of_old_paths_load_under_the_alias(tmp_path) -> None:
    out = run(
        ALIAS
        + """
import pickle
old = b"cmmengine.structures.instance_data\\nInstanceData\\n."
print(pickle.loads(old).__module__)
"""
    )
    assert out.strip() == "eng.structures.instance_data"


def test_an_error_of_a_librarys_own_comes_through_untouched(tmp_path) -> None:
    (tmp_path / "needs_ops.py").write_text(
        "import mmengine.registry\nraise ModuleNotFoundError(\"No module named 'mmcv._ext'\", name='mmcv._ext')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "eng.compat", "needs_ops.py"], capture_output=True, text=True, cwd=tmp_path, timeout=100
    )
    assert done.stderr.strip().splitlines()[-1] == "ModuleNotFoundError: No module named 'mmcv._ext'"


@pytest.mark.timeout(170)
def test_importing_under_the_alias_is_quiet() -> None:
    out = run(
        "import sys, warnings\nwarnings.simplefilter('error', DeprecationWarning)\n"
        + ALIAS
        + """
import mmengine, mmengine.utils, mmengine.version
print([name for name in ("pkg_resources", "distutils") if name in sys.modules])
"""
    )
    assert out.strip() == "[]"
