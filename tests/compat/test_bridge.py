"""Old code, old names and old paths on eng, with every package installed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from bridge_parts import ALIAS, run


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
