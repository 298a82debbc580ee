"""The alias by itself: these tests need eng-compat and what it declares, nothing else of eng."""

from __future__ import annotations

import importlib
import sys

import pytest
from alias_parts import run

import eng.compat
from eng import compat


def test_modules_are_the_same_objects_and_stay_what_they_are() -> None:
    compat.install()
    aliased = importlib.import_module("mmengine.utils.path")
    own = importlib.import_module("eng.compat.utils.path")
    assert aliased is own
    assert (own.__name__, own.__spec__.name) == ("eng.compat.utils.path", "eng.compat.utils.path")


def test_installing_twice_is_harmless_and_uninstalling_undoes_it() -> None:
    before = list(sys.meta_path)
    compat.install()
    compat.install()
    assert compat.is_installed()
    importlib.import_module("mmengine.version")
    compat.uninstall()
    compat.uninstall()
    assert sys.meta_path == before
    assert not hasattr(eng.compat.version, "__getattr__")
    with pytest.raises(ModuleNotFoundError, match="mmengine"):
        importlib.import_module("mmengine")


def test_as_a_context_manager() -> None:
    with compat.alias():
        importlib.import_module("mmengine.version")
        with compat.alias():
            pass
        assert compat.is_installed()
    assert not compat.is_installed()


def test_the_alias_comes_before_an_installed_mmengine(tmp_path) -> None:
    (tmp_path / "mmengine").mkdir()
    (tmp_path / "mmengine/__init__.py").write_text("__version__ = 'real'")
    script = "import eng.compat as c; c.install(); import mmengine; print(mmengine.__version__); c.uninstall(); import mmengine; print(mmengine.__version__)"
    assert run("-c", script, cwd=tmp_path).stdout.split() == ["0.10.7", "real"]


def test_pickles_agree_under_both_names() -> None:
    import pickle

    compat.install()
    from mmengine.utils.timer import TimerError

    assert type(pickle.loads(pickle.dumps(TimerError("x")))) is eng.compat.utils.timer.TimerError
    old = b"cmmengine.utils.timer\nTimerError\n."
    assert pickle.loads(old) is TimerError


def test_importing_it_brings_nothing_heavy() -> None:
    done = run(
        "-c",
        "import sys, eng.compat; print([m for m in ('torch', 'numpy', 'pkg_resources', 'distutils') if m in sys.modules])",
    )
    assert done.stdout.strip() == "[]"
