"""The alias by itself: these tests need eng-compat and what it declares, nothing else of eng."""

from __future__ import annotations

import importlib
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

import eng.compat
from eng import compat
from eng.compat._routes import target_of


def run(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("mmengine", "eng.compat.toplevel"),
        ("mmengine.runner", "eng.runner"),
        ("mmengine.runner.checkpoint", "eng.runner.checkpoint"),
        ("mmengine.utils", "eng.compat.utils"),
        ("mmengine.utils.dl_utils.parrots_wrapper", "eng.compat.utils.dl_utils.parrots_wrapper"),
        ("mmengine.version", "eng.compat.version"),
        ("mmengine._strategy", "eng.compat.strategies"),
    ],
)
def test_every_path_has_its_place(name, target) -> None:
    assert target_of(name) == target


def test_modules_are_the_same_objects_and_stay_what_they_are() -> None:
    compat.install()
    aliased = importlib.import_module("mmengine.utils.path")
    own = importlib.import_module("eng.compat.utils.path")
    assert aliased is own
    assert (own.__name__, own.__spec__.name) == ("eng.compat.utils.path", "eng.compat.utils.path")


def test_version_is_that_of_the_reference() -> None:
    compat.install()
    import mmengine

    assert (mmengine.__version__, mmengine.version_info) == ("0.10.7", (0, 10, 7))
    assert compat.__version__ != mmengine.__version__


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


def test_after_the_real_mmengine_it_is_an_error(tmp_path) -> None:
    (tmp_path / "mmengine").mkdir()
    (tmp_path / "mmengine/__init__.py").write_text("__version__ = 'real'")
    done = run("-c", "import mmengine, eng.compat; eng.compat.install()", cwd=tmp_path)
    assert done.returncode == 1
    assert "mmengine was imported already" in done.stderr
    assert "python -m eng.compat" in done.stderr


def test_the_alias_comes_before_an_installed_mmengine(tmp_path) -> None:
    (tmp_path / "mmengine").mkdir()
    (tmp_path / "mmengine/__init__.py").write_text("__version__ = 'real'")
    script = "import eng.compat as c; c.install(); import mmengine; print(mmengine.__version__); c.uninstall(); import mmengine; print(mmengine.__version__)"
    assert run("-c", script, cwd=tmp_path).stdout.split() == ["0.10.7", "real"]


def test_a_name_that_is_not_there_names_the_nearest_and_the_page() -> None:
    compat.install()
    utils = importlib.import_module("mmengine.utils.path")
    with pytest.raises(
        AttributeError, match=r"no 'mkdir_or_exists'; did you mean mkdir_or_exist.*docs/differences\.md"
    ):
        _ = utils.mkdir_or_exists


@pytest.mark.parametrize("name", ["mmengine.nothing", "mmengine.utils.nothing", "mmengine.version.nothing"])
def test_a_module_that_is_not_there(name) -> None:
    compat.install()
    with pytest.raises(ModuleNotFoundError, match=name.rpartition(".")[2]):
        importlib.import_module(name)


def test_pickles_agree_under_both_names() -> None:
    import pickle

    compat.install()
    from mmengine.utils.timer import TimerError

    assert type(pickle.loads(pickle.dumps(TimerError("x")))) is eng.compat.utils.timer.TimerError
    old = b"cmmengine.utils.timer\nTimerError\n."
    assert pickle.loads(old) is TimerError


# --- other processes ---------------------------------------------------------------------------------------------

SCRIPT = """
import multiprocessing, sys
from mmengine.version import version_info  # at the top, where a spawned child meets it again

def work(number):
    import mmengine.version
    return number * mmengine.version.version_info[1]

if __name__ == "__main__":
    method = sys.argv[1]
    with multiprocessing.get_context(method).Pool(2) as pool:
        print(pool.map(work, [1, 2]), sys.argv)
"""


@pytest.mark.parametrize(
    "method", [m for m in ("fork", "spawn", "forkserver") if m in multiprocessing.get_all_start_methods()]
)
def test_workers_have_the_alias(tmp_path, method) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run("-m", "eng.compat", "script.py", method, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"[10, 20] ['script.py', '{method}']"


def test_a_module_runs_under_the_alias(tmp_path) -> None:
    (tmp_path / "tool.py").write_text("import sys, mmengine.version\nprint(sys.argv[1:], __name__)")
    done = run("-m", "eng.compat", "-m", "tool", "--flag", cwd=tmp_path)
    assert done.stdout.strip() == "['--flag'] __main__", done.stderr


@pytest.mark.parametrize("args", [[], ["-m"], ["missing.py"]], ids=["nothing", "no module", "no file"])
def test_a_call_that_names_nothing_says_how_to(tmp_path, args) -> None:
    done = run("-m", "eng.compat", *args, cwd=tmp_path)
    assert done.returncode == 2
    assert "usage: python -m eng.compat SCRIPT.py" in done.stderr


def test_importing_it_brings_nothing_heavy() -> None:
    done = run(
        "-c",
        "import sys, eng.compat; print([m for m in ('torch', 'numpy', 'pkg_resources', 'distutils') if m in sys.modules])",
    )
    assert done.stdout.strip() == "[]"
